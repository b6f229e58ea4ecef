"""SimSiam on CIFAR-10, with all of `simclr_cifar_small` but its objective (Chen & He 2021, arXiv:2011.10566).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 37.0%, linear probe 41.2%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/simsiam_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
    config.objective = dict(
        name="simsiam",
        projection=(1024, 1024, 1024),
        prediction=(256,),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
