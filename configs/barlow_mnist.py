"""Barlow Twins on MNIST, with all of `simclr_mnist` but its objective (Zbontar et al. 2021, arXiv:2103.03230).

Run: python launch.py --config=configs/barlow_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_mnist


def get_config() -> ConfigDict:
    config = simclr_mnist.get_config()
    config.objective = dict(
        name="barlow",
        off_diagonal=5e-3,
        projection=(512, 512, 512),
        augmentation=config.objective.augmentation,
        second=dict(),
    )
    return config
