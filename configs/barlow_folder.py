"""Barlow Twins on a folder of pictures, with all of `simclr_folder` but its objective (Zbontar et al. 2021,
arXiv:2103.03230).

Run: python launch.py --config=configs/barlow_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="barlow",
        off_diagonal=5e-3,
        projection=(1024, 1024, 1024),
        augmentation=config.objective.augmentation,
        second=dict(solarise=dict(p=0.2, threshold=0.5)),
    )
    return config
