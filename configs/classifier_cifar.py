"""CNN encoder and MLP classifier on CIFAR-10, trained jointly with cross-entropy.

Validation: after 5 epochs Muon was at 87.6%, AdamW at 83.2%; with two convolutions a block and a strided stem, Muon
was at 90.1% after 16 epochs, having learned the train images by heart. With a pooled stem, a third convolution and
random erasing it was at 91.8% after 16 and at 92.7% after these 24. That the trained head sees the mirror image,
too, brings another 0.8 points.

Measured (seed 1, test split, CPU with 2 cores): 3,514 s for 24 epochs, beside some other work; the network itself
92.92%, kNN 91.96%, linear probe 91.83%, MLP probe 91.86%.

Run: python launch.py --config=configs/classifier_cifar.py
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="cifar10", validation=5000)
    config.encoder = dict(name="cnn", widths=(64, 128, 256), depth=3, stem="pooled", latent=128, dropout=0.0)
    config.objective = dict(
        name="classify",
        hidden=(128,),
        dropout=0.0,
        smoothing=0.1,
        mirrored=True,
        shifted=0,
        augmentation=dict(flip=0.5, translate=4, erase=(0.5, 0.05, 0.2)),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=24,
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
        views=4,
        augmentation=dict(flip=0.5, translate=2),
        linear=dict(epochs=10, batch_size=512, learning_rate=0.03, weight_decay=0.0),
        mlp=dict(hidden=(512,), dropout=0.3, epochs=16, batch_size=512, learning_rate=2e-3, weight_decay=0.1),
    )
    return config
