"""CNN encoder and MLP classifier on Fashion-MNIST, trained jointly with cross-entropy.

Validation: 93.6% after 8 epochs, 94.0% after 12.

Measured (seed 0, test split, CPU with 2 cores): 821 s for 12 epochs, beside other work; the network itself
93.45%, kNN 93.41%, linear probe 92.44%, MLP probe 93.39%.

Run: python launch.py --config=configs/classifier_fashion_mnist.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="fashion_mnist", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128), depth=2, stem="strided", latent=128, dropout=0.0)
    config.objective = dict(
        name="classify",
        hidden=(128,),
        dropout=0.0,
        smoothing=0.1,
        mirrored=False,
        shifted=0,
        augmentation=dict(flip=0.5, translate=2, erase=(0.5, 0.02, 0.2)),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=12,
        batch_size=512,
        dtype="float32",
        steps_per_call=25,
        log_every=25,
        checkpoint_every=500,
        keep=2,
        validate_every=4,
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
