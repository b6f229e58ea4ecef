"""The quick start's other half: a margin contrastive network on the 8×8 digits inside scikit-learn, with
the encoder of configs/quickstart.py.

Run: python launch.py --config=configs/quickstart_margin.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="digits", validation=200)
    config.encoder = dict(name="fc", widths=(128, 64), latent=16, dropout=0.0)
    config.objective = dict(name="margin", margin=5.0, projection=(), augmentation=dict())
    config.optimizer = dict(name="adam", learning_rate=2e-3, warmup_epochs=1.0, weight_decay=0.0)
    config.train = dict(
        epochs=100,
        batch_size=64,
        dtype="float32",
        log_every=20,  # steps
        checkpoint_every=500,  # steps
        validate_every=25,  # epochs
    )
    config.evaluate = protocols.DIGITS | dict(distance="euclidean")
    return config
