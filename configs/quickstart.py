"""A first run in seconds and without a download: an autoencoder on the 8×8 digits inside scikit-learn.

64 pixels become 16 numbers; then nearest neighbours, a linear and an MLP classifier are measured on the frozen
code.

Measured (seed 0, test split, CPU with 2 cores): 2 s for 100 epochs; kNN 93.89%, linear probe 89.44%, MLP
probe 93.06%.

Run: python launch.py --config=configs/quickstart.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="digits", validation=200)
    config.encoder = dict(name="fc", widths=(128, 64), latent=16, dropout=0.0)
    config.objective = dict(name="reconstruct", augmentation=dict(), corruption=dict())
    config.optimizer = dict(name="adam", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=0.0)
    config.train = dict(
        epochs=100,
        batch_size=64,
        dtype="float32",
        log_every=20,  # steps
        checkpoint_every=500,  # steps
        validate_every=25,  # epochs
    )
    config.evaluate = protocols.DIGITS
    return config
