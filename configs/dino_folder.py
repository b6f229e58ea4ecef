"""DINO on a folder of pictures, with all of `simclr_folder` but the objective of `dino_cifar` (Caron et al. 2021,
arXiv:2104.14294).

Run: python launch.py --config=configs/dino_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import dino_cifar, simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dino_cifar.get_config().objective
    return config
