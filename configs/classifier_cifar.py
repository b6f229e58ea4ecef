"""CNN encoder and MLP classifier on CIFAR-10, trained jointly with cross-entropy.

Not measured to the end yet.

Run: python launch.py --config=configs/classifier_cifar.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="cifar10", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128, 256), latent=128, dropout=0.2)
    config.objective = dict(
        name="classify", hidden=(128,), dropout=0.2, smoothing=0.0, augmentation=dict(crop=(0.4, 1.0), flip=0.5)
    )
    config.optimizer = dict(name="adam", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=1e-2)
    config.train = dict(
        epochs=30,
        batch_size=256,
        dtype="float32",
        steps_per_call=50,
        log_every=50,
        checkpoint_every=1000,
        keep=2,
        validate_every=5,
        tensorboard=False,
    )
    config.evaluate = dict(
        neighbours=10,
        distance="cosine",
        linear=dict(hidden=(), epochs=30, batch_size=512, learning_rate=0.3, weight_decay=0.0),
        mlp=dict(hidden=(256,), epochs=30, batch_size=512, learning_rate=0.02, weight_decay=1e-4),
    )
    return config
