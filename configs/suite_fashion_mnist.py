"""The four ways to learn an embedding of Fashion-MNIST, three seeds each, and the report that compares them.

Run: python launch.py --config=configs/suite_fashion_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = (
        "autoencoder_fashion_mnist",
        "classifier_fashion_mnist",
        "simclr_fashion_mnist",
        "margin_fashion_mnist",
    )
    config.seeds = (0, 1, 2)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
