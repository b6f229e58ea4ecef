"""Fully connected encoder and classifier on MNIST, trained jointly with cross-entropy on shifted, turned and
scaled digits.

Length is what helps: on validation, 30 epochs of this network reach 99.0%; 60 epochs with more dropout and a
hidden layer in the classifier 99.2%.

Measured (seed 0, test split, CPU with 2 cores): 557 s for 150 epochs; the network itself 99.39%, kNN 99.33%,
linear probe 99.30%, MLP probe 99.34%.

Run: python launch.py --config=configs/classifier_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="mnist", validation=5000)
    config.encoder = dict(name="fc", widths=(1024, 512), latent=128, dropout=0.1)
    config.objective = dict(
        name="classify", hidden=(), dropout=0.0, smoothing=0.0, augmentation=dict(affine=(15.0, 0.1, 0.85, 1.15))
    )
    config.optimizer = dict(name="adam", learning_rate=1e-3, warmup_epochs=1.0, weight_decay=1e-2)
    config.train = dict(
        epochs=150,
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
        distance="cosine",
        views=0,
        augmentation=dict(),
        linear=dict(epochs=30, batch_size=512, learning_rate=0.3, weight_decay=0.0),
        mlp=dict(hidden=(256,), dropout=0.0, epochs=30, batch_size=512, learning_rate=0.02, weight_decay=1e-4),
    )
    return config
