"""Margin contrastive learning on MNIST, 784-256-Dropout-128-Dropout-32: every pair of a batch,
same-class pairs pulled together, others pushed a margin apart (Hadsell et al. 2006).

Run: python launch.py --config=configs/margin_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="mnist", validation=5000)
    config.encoder = dict(name="fc", widths=(256, 128), latent=32, dropout=0.05)
    config.objective = dict(
        name="margin", margin=5.0, projection=(), augmentation=dict(affine=(10.0, 0.1, 0.9, 1.1))
    )
    config.optimizer = dict(name="adam", learning_rate=1e-3, warmup_epochs=1.0, weight_decay=0.0)
    config.train = dict(
        epochs=100,
        batch_size=256,
        dtype="float32",
        steps_per_call=50,
        log_every=50,
        checkpoint_every=1000,
        keep=2,
        validate_every=10,
        tensorboard=False,
    )
    config.evaluate = dict(
        neighbours=10,
        distance="euclidean",
        linear=dict(hidden=(), epochs=30, batch_size=512, learning_rate=0.3, weight_decay=0.0),
        mlp=dict(hidden=(256,), epochs=30, batch_size=512, learning_rate=0.02, weight_decay=1e-4),
    )
    return config
