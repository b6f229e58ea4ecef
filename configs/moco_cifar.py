"""MoCo v2 on CIFAR-10, with all of `simclr_cifar_small` but its objective (Chen et al. 2020, arXiv:2003.04297).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 49.0%, linear probe 54.5%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/moco_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small


def get_config() -> ConfigDict:
    config = simclr_cifar_small.get_config()
    config.objective = dict(
        name="moco",
        temperature=0.2,
        projection=(256, 128),
        decay=0.99,
        queue=8192,
        augmentation=config.objective.augmentation,
    )
    return config
