"""The whole pipeline in half a minute, without a download: an autoencoder and a margin network on the 8×8 digits,
three epochs each, and the report that compares them.

Run: python launch.py --config=configs/suite_quickstart.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.experiments = ("quickstart", "quickstart_margin")
    config.seeds = (0,)
    config.overrides = dict(train=dict(epochs=3, validate_every=1))
    config.together = ()  # experiments whose seeds train side by side on an accelerator
    return config
