"""Convolutional L1 autoencoder on CIFAR-10: three strided convolutions, a code of 256 numbers, sub-pixel
convolutions back; then classifiers on the frozen code.

Not measured to the end yet.

Run: python launch.py --config=configs/autoencoder_cifar.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="cifar10", validation=5000)
    config.encoder = dict(name="conv", widths=(64, 128, 128), depth=1, latent=512, decoder_widths=(64, 64, 32))
    config.objective = dict(
        name="reconstruct",
        augmentation=dict(flip=0.5),
        corruption=dict(crop=(0.4, 1.0), jitter=(0.8, 0.4, 0.4, 0.4, 0.1), greyscale=0.2, erase=(0.5, 0.05, 0.3)),
    )
    config.optimizer = dict(name="adam", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=0.0)
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
        views=0,
        augmentation=dict(),
        linear=dict(hidden=(), dropout=0.0, epochs=30, batch_size=512, learning_rate=0.3, weight_decay=0.0),
        mlp=dict(hidden=(256,), dropout=0.0, epochs=30, batch_size=512, learning_rate=0.02, weight_decay=1e-4),
    )
    return config
