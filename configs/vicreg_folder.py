"""VICReg on a folder of pictures, with all of `simclr_folder` but the objective of `vicreg_cifar` (Bardes et al.
2022, arXiv:2105.04906).

Run: python launch.py --config=configs/vicreg_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder, vicreg_cifar


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = vicreg_cifar.get_config().objective
    return config
