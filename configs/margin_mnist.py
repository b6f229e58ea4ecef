"""Margin contrastive learning on MNIST, 784-256-Dropout-128-Dropout-32: every pair in a batch, same-class
pairs pulled together, others pushed a margin apart (Hadsell et al. 2006).

kNN on validation: with margin 1 and dropout 0.1, 50 epochs, 97.7%; for 30 epochs, with margin 5 98.0%, with margin
1, dropout 0.05 and smaller movements 98.2%. This config combines the two and trains for longer.

Measured (seed 0, test split, CPU with 2 cores): 92 s for 100 epochs; kNN 98.82%, linear probe 98.76%, MLP
probe 98.82%.

Run: python launch.py --config=configs/margin_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="mnist", validation=5000)
    config.encoder = dict(name="fc", widths=(256, 128), latent=32, dropout=0.05)
    config.objective = dict(
        name="margin",
        margin=5.0,
        projection=(),
        augmentation=dict(affine=dict(degrees=10.0, shift=0.1, min_scale=0.9, max_scale=1.1)),
    )
    config.optimizer = dict(name="adam", learning_rate=1e-3, warmup_epochs=1.0, weight_decay=0.0)
    config.train = dict(
        epochs=100,
        batch_size=256,
        dtype="float32",
        log_every=50,  # steps
        checkpoint_every=1000,  # steps
        validate_every=10,  # epochs
    )
    config.evaluate = protocols.MNIST | dict(distance="euclidean")
    return config
