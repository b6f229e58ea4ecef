"""LeJEPA with SIGReg on CIFAR-10, with all of `simclr_cifar_small` but its objective (Balestriero & LeCun 2025,
arXiv:2511.08544).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 46.9%, linear probe 50.8%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/sigreg_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
    config.objective = dict(
        name="sigreg",
        regularisation=0.05,
        directions=256,
        projection=(1024, 1024, 256),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
