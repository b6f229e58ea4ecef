"""SimSiam on a folder of pictures, with all of `simclr_folder` but the objective of `simsiam_cifar` (Chen & He
2021, arXiv:2011.10566).

Run: python launch.py --config=configs/simsiam_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder, simsiam_cifar


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = simsiam_cifar.get_config().objective
    return config
