"""LeJEPA with SIGReg on MNIST, with all of `simclr_mnist` but its objective (Balestriero & LeCun 2025,
arXiv:2511.08544).

Run: python launch.py --config=configs/sigreg_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_mnist


def get_config() -> ConfigDict:
    config = simclr_mnist.get_config()
    config.objective = dict(
        name="sigreg",
        regularisation=0.05,
        directions=256,
        projection=(512, 512, 128),
        views=2,
        augmentation=config.objective.augmentation,
    )
    return config
