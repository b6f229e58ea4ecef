"""The hardest triplets of each batch on MNIST, with all of `margin_mnist` but its objective (Hermans et al. 2017,
arXiv:1703.07737).

Run: python launch.py --config=configs/triplet_mnist.py
"""

from ml_collections import ConfigDict

from configs import margin_mnist


def get_config() -> ConfigDict:
    config = margin_mnist.get_config()
    config.objective = dict(
        name="triplet",
        mining="hardest",
        projection=(),
        augmentation=config.objective.augmentation,
    )
    return config
