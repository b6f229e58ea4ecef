"""The fourteen ways to learn an embedding of Fashion-MNIST in one budget: the same network, optimizer and number of
views seen, about 6 minutes of two CPU cores for SimCLR. The autoencoder has its own network and optimizer, because
this network has no decoder.

Run: python launch.py --config=configs/suite_budget_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_fashion_mnist, suite_ways_fashion_mnist

# Of ways that see two views of each image; those that see one have twice as many.
EPOCHS = 4
ONE_VIEW = ("classifier_fashion_mnist", "margin_fashion_mnist", "triplet_fashion_mnist", "arcface_fashion_mnist")


def get_config() -> ConfigDict:
    config = suite_ways_fashion_mnist.get_config()
    config.seeds = (0, 1, 2)
    encoder = simclr_fashion_mnist.get_config().encoder.to_dict()
    config.overrides = dict(train=dict(epochs=EPOCHS, validate_every=0))
    config.each = {name: dict(encoder=encoder, train=dict(epochs=2 * EPOCHS)) for name in ONE_VIEW}
    config.each["autoencoder_fashion_mnist"] = dict(train=dict(epochs=2 * EPOCHS))
    return config
