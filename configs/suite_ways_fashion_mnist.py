"""The fourteen ways to learn an embedding of Fashion-MNIST, and the report that compares them.

Run: python launch.py --config=configs/suite_ways_fashion_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = (
        "autoencoder_fashion_mnist",
        "classifier_fashion_mnist",
        "simclr_fashion_mnist",
        "margin_fashion_mnist",
        "barlow_fashion_mnist",
        "vicreg_fashion_mnist",
        "sigreg_fashion_mnist",
        "simsiam_fashion_mnist",
        "byol_fashion_mnist",
        "moco_fashion_mnist",
        "dino_fashion_mnist",
        "supcon_fashion_mnist",
        "triplet_fashion_mnist",
        "arcface_fashion_mnist",
    )
    config.seeds = (0,)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
