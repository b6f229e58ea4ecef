"""The four ways to learn an embedding of MNIST, three seeds each, and the report that compares them.

Run: python launch.py --config=configs/suite_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = ("autoencoder_mnist", "classifier_mnist", "simclr_mnist", "margin_mnist")
    config.seeds = (0, 1, 2)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
