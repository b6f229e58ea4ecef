"""CNN encoder and MLP classifier on CIFAR-10, trained jointly with cross-entropy.

Validation: after 5 epochs Muon reached 87.6%, AdamW 83.2%; with two convolutions per block and a strided stem, Muon
reached 90.1% after 16 epochs, with the train images memorised. With a pooled stem, a third convolution and random
erasing it reached 91.8% after 16 and 92.7% after these 24. Mirror images at test time add another 0.8 points.

Measured (seed 1, test split, CPU with 2 cores): 3,514 s for 24 epochs, with other work running; the network
itself 92.92%, kNN 91.96%, linear probe 91.83%, MLP probe 91.86%.

Run: python launch.py --config=configs/classifier_cifar.py
"""

from ml_collections import ConfigDict

from configs import protocols


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
        augmentation=dict(
            flip=dict(p=0.5), erase=dict(p=0.5, min_area=0.05, max_area=0.2), translate=dict(pixels=4)
        ),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=24,
        batch_size=512,
        dtype="float32",
        log_every=25,  # steps
        checkpoint_every=500,  # steps
        validate_every=4,  # epochs
    )
    config.evaluate = protocols.CIFAR
    return config
