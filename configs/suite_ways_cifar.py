"""The fourteen ways to learn an embedding of CIFAR-10, and the report that compares them.

Run: python launch.py --config=configs/suite_ways_cifar.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = (
        "autoencoder_cifar",
        "classifier_cifar",
        "simclr_cifar_small",
        "margin_cifar",
        "barlow_cifar",
        "vicreg_cifar",
        "sigreg_cifar",
        "simsiam_cifar",
        "byol_cifar",
        "moco_cifar",
        "dino_cifar",
        "supcon_cifar",
        "triplet_cifar",
        "arcface_cifar",
    )
    config.seeds = (0,)
    config.overrides = dict()
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
