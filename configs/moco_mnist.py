"""MoCo v2 on MNIST, with all of `simclr_mnist` but its objective (Chen et al. 2020, arXiv:2003.04297).

Run: python launch.py --config=configs/moco_mnist.py
"""

from ml_collections import ConfigDict

from configs import simclr_mnist


def get_config() -> ConfigDict:
    config = simclr_mnist.get_config()
    config.objective = dict(
        name="moco",
        temperature=0.2,
        projection=(128, 64),
        decay=0.99,
        queue=8192,
        augmentation=config.objective.augmentation,
    )
    return config
