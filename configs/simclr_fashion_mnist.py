"""SimCLR on Fashion-MNIST with a small CNN (Chen et al. 2020, arXiv:2002.05709).

Measured (seed 0, test split, CPU with 2 cores): 668 s; kNN 85.42%, linear probe 86.80%, MLP probe 89.23%.

Run: python launch.py --config=configs/simclr_fashion_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="fashion_mnist", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128), depth=2, stem="strided", latent=128, dropout=0.0)
    config.objective = dict(
        name="ntxent",
        temperature=0.5,
        projection=(128, 64),
        augmentation=dict(crop=(0.4, 1.0), flip=0.5, jitter=(0.8, 0.4, 0.4, 0.0, 0.0)),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=8,
        batch_size=512,
        dtype="float32",
        steps_per_call=25,
        log_every=25,
        checkpoint_every=500,
        keep=2,
        validate_every=2,
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
