"""Barlow Twins on a folder of pictures, with all of `simclr_folder` but the objective of `barlow_cifar` (Zbontar
et al. 2021, arXiv:2103.03230).

Run: python launch.py --config=configs/barlow_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import barlow_cifar, simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = barlow_cifar.get_config().objective
    return config
