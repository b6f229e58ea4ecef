"""BYOL on a folder of pictures, with all of `simclr_folder` but the objective of `byol_cifar` (Grill et al. 2020,
arXiv:2006.07733).

Run: python launch.py --config=configs/byol_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import byol_cifar, simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = byol_cifar.get_config().objective
    return config
