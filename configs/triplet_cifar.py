"""All triplets of each batch on CIFAR-10, with all of `margin_cifar` but its objective and smaller batches, of
which all triplets are few enough (Hermans et al. 2017, arXiv:1703.07737). The hardest of each batch, as in
`triplet_fashion_mnist`, draw everything to one point here: docs/ways.md.

Measured after one epoch (seed 0, validation, CPU with 2 cores): kNN 66.1%, linear probe 67.9%;
docs/ways.md has all ways.

Run: python launch.py --config=configs/triplet_cifar.py
"""

from ml_collections import ConfigDict

from configs import margin_cifar


def get_config() -> ConfigDict:
    config = margin_cifar.get_config()
    config.objective = dict(
        name="triplet",
        mining="all",
        projection=(),
        augmentation=config.objective.augmentation,
    )
    config.train.batch_size = 128
    return config
