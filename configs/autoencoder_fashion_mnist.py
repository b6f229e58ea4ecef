"""L1 autoencoder on Fashion-MNIST, 784-256-128-32-128-256-784, and classifiers on the frozen code of 32
numbers.

Measured (seed 0, test split, CPU with 2 cores): 62 s for 50 epochs; kNN 86.54%, linear probe 82.63%, MLP
probe 88.19%.

Run: python launch.py --config=configs/autoencoder_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="fashion_mnist", validation=5000)
    config.encoder = dict(name="fc", widths=(256, 128), latent=32, dropout=0.0)
    config.objective = dict(name="reconstruct", augmentation=dict(), corruption=dict())
    config.optimizer = dict(name="adam", learning_rate=1e-3, warmup_epochs=1.0, weight_decay=0.0)
    config.train = dict(
        epochs=50,
        batch_size=256,
        dtype="float32",
        log_every=50,  # steps
        checkpoint_every=1000,  # steps
        validate_every=10,  # epochs
    )
    config.evaluate = protocols.MNIST
    return config
