"""SimSiam on Fashion-MNIST, with all of `simclr_fashion_mnist` but its objective (Chen & He 2021,
arXiv:2011.10566).

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 82.7%, linear probe 84.1%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/simsiam_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_fashion_mnist


def get_config() -> ConfigDict:
    config = simclr_fashion_mnist.get_config()
    config.objective = dict(
        name="simsiam",
        projection=(512, 512, 512),
        prediction=(128,),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
