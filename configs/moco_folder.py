"""MoCo v2 on a folder of pictures, with all of `simclr_folder` but its objective (Chen et al. 2020,
arXiv:2003.04297).

Run: python launch.py --config=configs/moco_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="moco",
        temperature=0.2,
        projection=(256, 128),
        decay=0.99,
        queue=4096,
        augmentation=config.objective.augmentation,
    )
    return config
