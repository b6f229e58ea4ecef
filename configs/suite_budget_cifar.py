"""The fourteen ways to learn an embedding of CIFAR-10 in one budget: the same network, optimizer and number of
views seen, about 6 minutes of two CPU cores for SimCLR. The autoencoder has its own network and optimizer, because
this network has no decoder.

Run: python launch.py --config=configs/suite_budget_cifar.py
"""

from ml_collections import ConfigDict

from configs import simclr_cifar_small, suite_budget_fashion_mnist, suite_ways_cifar


def get_config() -> ConfigDict:
    ways, simclr = suite_ways_cifar.get_config(), simclr_cifar_small.get_config()
    return suite_budget_fashion_mnist.budget(ways, simclr, "cifar", epochs=3)
