"""LeJEPA with SIGReg on a folder of pictures, with all of `simclr_folder` but the objective of `sigreg_cifar`
(Balestriero & LeCun 2025, arXiv:2511.08544).

Run: python launch.py --config=configs/sigreg_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import sigreg_cifar, simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = sigreg_cifar.get_config().objective
    return config
