"""The fourteen ways to learn an embedding of Fashion-MNIST in one budget: the same network, optimizer and number of
views seen, about 6 minutes of two CPU cores for SimCLR. The autoencoder has its own network and optimizer, because
this network has no decoder.

Run: python launch.py --config=configs/suite_budget_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_fashion_mnist, suite_ways_fashion_mnist

# Ways that see one view of each image, and so have twice the epochs.
ONE_VIEW = ("autoencoder", "classifier", "margin", "triplet", "arcface")


def get_config() -> ConfigDict:
    return budget(
        suite_ways_fashion_mnist.get_config(), simclr_fashion_mnist.get_config(), "fashion_mnist", epochs=4
    )


def budget(config: ConfigDict, simclr: ConfigDict, dataset: str, *, epochs: int) -> ConfigDict:
    """Give all experiments of a suite the encoder and the views of a SimCLR config with a number of epochs."""
    config.seeds = (0, 1, 2)
    config.overrides = dict(train=dict(epochs=epochs, validate_every=0))
    train, encoder = dict(epochs=2 * epochs), simclr.encoder.to_dict()
    config.each = {f"{way}_{dataset}": dict(encoder=encoder, train=train) for way in ONE_VIEW}
    config.each[f"autoencoder_{dataset}"] = dict(train=train)  # whose encoder has a decoder
    return config
