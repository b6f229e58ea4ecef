"""CNN encoder and MLP classifier on Fashion-MNIST, trained jointly with cross-entropy.

Validation: 93.6% after 8 epochs, 94.0% after 12.

Measured (seed 0, test split, CPU with 2 cores): 821 s for 12 epochs, with other work running; the network
itself 93.45%, kNN 93.41%, linear probe 92.44%, MLP probe 93.39%.

Run: python launch.py --config=configs/classifier_fashion_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


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
        augmentation=dict(
            flip=dict(p=0.5), erase=dict(p=0.5, min_area=0.02, max_area=0.2), translate=dict(pixels=2)
        ),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=12,
        batch_size=512,
        dtype="float32",
        log_every=25,  # steps
        checkpoint_every=500,  # steps
        validate_every=4,  # epochs
    )
    config.evaluate = protocols.MNIST
    return config
