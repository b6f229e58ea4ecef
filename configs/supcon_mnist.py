"""Supervised contrastive learning on MNIST, with all of `simclr_mnist` but its objective (Khosla et al. 2020,
arXiv:2004.11362).

Run: python launch.py --config=configs/supcon_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_mnist


def get_config() -> ConfigDict:
    config = simclr_mnist.get_config()
    config.objective = dict(
        name="supcon",
        temperature=0.1,
        projection=(128, 64),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
