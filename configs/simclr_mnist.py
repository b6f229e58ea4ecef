"""SimCLR on MNIST with a small CNN: two cropped, shifted, rotated and scaled copies of each digit have to find
each other; then classifiers on the frozen encoder (Chen et al. 2020, arXiv:2002.05709).

Measured (seed 0, test split, CPU with 2 cores): 1,000 s for 6 epochs, with other work running; kNN 98.17%,
linear probe 98.82%, MLP probe 99.09%.

Run: python launch.py --config=configs/simclr_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="mnist", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128), depth=2, stem="strided", latent=128, dropout=0.0)
    config.objective = dict(
        name="ntxent",
        temperature=0.5,
        projection=(128, 64),
        augmentation=dict(
            crop=dict(min_area=0.4, max_area=1.0),
            affine=dict(degrees=15.0, shift=0.1, min_scale=0.85, max_scale=1.15),
        ),
    )
    config.optimizer = dict(name="adam", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=1e-4)
    config.train = dict(
        epochs=6,
        batch_size=256,
        dtype="float32",
        log_every=50,  # steps
        checkpoint_every=1000,  # steps
        validate_every=2,  # epochs
    )
    config.evaluate = protocols.MNIST
    return config
