"""The fourteen ways to learn an embedding of MNIST, and the report that compares them.

Run: python launch.py --config=configs/suite_ways_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = (
        "autoencoder_mnist",
        "classifier_mnist",
        "simclr_mnist",
        "margin_mnist",
        "barlow_mnist",
        "vicreg_mnist",
        "sigreg_mnist",
        "simsiam_mnist",
        "byol_mnist",
        "moco_mnist",
        "dino_mnist",
        "supcon_mnist",
        "triplet_mnist",
        "arcface_mnist",
    )
    config.seeds = (0,)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
