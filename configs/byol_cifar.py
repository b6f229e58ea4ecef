"""BYOL on CIFAR-10, with all of `simclr_cifar_small` but its objective (Grill et al. 2020, arXiv:2006.07733).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 38.7%, linear probe 46.0%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/byol_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
    config.objective = dict(
        name="byol",
        projection=(1024, 256),
        prediction=(1024,),
        decay=0.99,
        views=2,
        augmentation=config.objective.augmentation,
        second=dict(solarise=dict(p=0.2, threshold=0.5)),
    )
    return config
