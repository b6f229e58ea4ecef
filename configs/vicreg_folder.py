"""VICReg on a folder of pictures, with all of `simclr_folder` but its objective (Bardes et al. 2022,
arXiv:2105.04906).

Run: python launch.py --config=configs/vicreg_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="vicreg",
        invariance=25.0,
        variance=25.0,
        covariance=1.0,
        projection=(1024, 1024, 1024),
        augmentation=config.objective.augmentation,
        second=dict(solarise=dict(p=0.2, threshold=0.5)),
    )
    return config
