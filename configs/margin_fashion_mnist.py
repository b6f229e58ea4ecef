"""Margin contrastive learning on Fashion-MNIST with a small CNN and an embedding of 32 numbers (Hadsell et al.
2006).

The student projects' fully connected network (`margin_mnist` with `--config.data.name=fashion_mnist`) stays near
90% kNN on validation, whatever its margin: 88.9% with 1, 89.6% with 5, 90.2% with 10, 89.9% with 20; 90.4% with
Muon. With margin 10, 50 epochs and AdamW, three seeds had 88.74 ± 0.04% on test. This one reaches 92.7%, and 88.8%
after 2 epochs.

Measured (seed 0, test split, CPU with 2 cores): 599 s for 10 epochs, with other work running; kNN 91.56%,
linear probe 92.23%, MLP probe 92.24%.

Run: python launch.py --config=configs/margin_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="fashion_mnist", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128), depth=2, stem="strided", latent=32, dropout=0.0)
    config.objective = dict(
        name="margin", margin=10.0, projection=(), augmentation=dict(flip=dict(p=0.5), translate=dict(pixels=2))
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=10,
        batch_size=512,
        dtype="float32",
        log_every=25,  # steps
        checkpoint_every=500,  # steps
        validate_every=2,  # epochs
    )
    config.evaluate = protocols.MNIST | dict(distance="euclidean")
    return config
