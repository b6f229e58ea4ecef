"""Barlow Twins on CIFAR-10, with all of `simclr_cifar_small` but its objective (Zbontar et al. 2021,
arXiv:2103.03230).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 49.2%, linear probe 54.8%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/barlow_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
    config.objective = dict(
        name="barlow",
        off_diagonal=5e-3,
        projection=(1024, 1024, 1024),
        augmentation=config.objective.augmentation,
        second=dict(solarise=dict(p=0.2, threshold=0.5)),
    )
    return config
