"""SimSiam on a folder of pictures, with all of `simclr_folder` but its objective (Chen & He 2021,
arXiv:2011.10566).

Run: python launch.py --config=configs/simsiam_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import simclr_folder


def get_config() -> ConfigDict:
    config = simclr_folder.get_config()
    config.objective = dict(
        name="simsiam",
        projection=(1024, 1024, 1024),
        prediction=(256,),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
