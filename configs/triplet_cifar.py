"""The hardest triplets of each batch on CIFAR-10, with all of `margin_cifar` but its objective (Hermans et al.
2017, arXiv:1703.07737).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 26.0%, linear probe 28.6%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/triplet_cifar.py
"""

from ml_collections import ConfigDict

from configs import margin_cifar


def get_config() -> ConfigDict:
    config = margin_cifar.get_config()
    config.objective = dict(
        name="triplet",
        projection=(),
        augmentation=config.objective.augmentation,
    )
    return config
