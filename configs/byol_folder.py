"""BYOL on a folder of pictures, with all of `simclr_folder` but its objective (Grill et al. 2020,
arXiv:2006.07733).

Run: python launch.py --config=configs/byol_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="byol",
        projection=(1024, 256),
        prediction=(1024,),
        decay=0.99,
        views=2,
        augmentation=config.objective.augmentation,
        second=dict(solarise=dict(p=0.2, threshold=0.5)),
    )
    return config
