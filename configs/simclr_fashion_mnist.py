"""SimCLR on Fashion-MNIST with a small CNN (Chen et al. 2020, arXiv:2002.05709).

Measured (seed 0, test split, CPU with 2 cores): 668 s; kNN 85.42%, linear probe 86.80%, MLP probe 89.23%.

Run: python launch.py --config=configs/simclr_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="fashion_mnist", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128), depth=2, stem="strided", latent=128, dropout=0.0)
    config.objective = dict(
        name="ntxent",
        temperature=0.5,
        projection=(128, 64),
        augmentation=dict(
            crop=dict(min_area=0.4, max_area=1.0),
            flip=dict(p=0.5),
            jitter=dict(p=0.8, brightness=0.4, contrast=0.4, saturation=0.0, hue=0.0),
        ),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=8,
        batch_size=512,
        dtype="float32",
        log_every=25,  # steps
        checkpoint_every=500,  # steps
        validate_every=2,  # epochs
    )
    config.evaluate = protocols.MNIST
    return config
