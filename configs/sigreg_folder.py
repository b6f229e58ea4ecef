"""LeJEPA with SIGReg on a folder of pictures, with all of `simclr_folder` but its objective (Balestriero & LeCun
2025, arXiv:2511.08544).

Run: python launch.py --config=configs/sigreg_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="sigreg",
        regularisation=0.05,
        directions=256,
        projection=(1024, 1024, 256),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
