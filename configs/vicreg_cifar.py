"""VICReg on CIFAR-10, with all of `simclr_cifar_small` but its objective (Bardes et al. 2022, arXiv:2105.04906).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 46.8%, linear probe 52.9%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/vicreg_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
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
