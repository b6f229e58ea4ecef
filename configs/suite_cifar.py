"""The four ways to learn an embedding of CIFAR-10, three seeds each, and the report that compares them.

Run: python launch.py --config=configs/suite_cifar.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = ("autoencoder_cifar", "classifier_cifar", "simclr_cifar", "margin_cifar")
    config.seeds = (0, 1, 2)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
