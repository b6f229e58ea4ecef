"""Convolutional L1 autoencoder on a folder of pictures, of any format and size and without labels.

Pictures become 32×32. Sub-folders of the folder are classes: training does not use them, but the embedding is
measured by them.

Run: python launch.py --config=configs/autoencoder_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="folder", size=32, channels=3, validation=0.1, test=0.0)
    config.encoder = dict(name="conv", widths=(32, 64, 128), depth=1, latent=256, decoder_widths=(64, 64, 32))
    config.objective = dict(
        name="reconstruct",
        augmentation=dict(flip=dict(p=0.5)),
        corruption=dict(
            crop=dict(min_area=0.4, max_area=1.0),
            jitter=dict(p=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
            greyscale=dict(p=0.2),
            erase=dict(p=0.5, min_area=0.05, max_area=0.3),
        ),
    )
    config.optimizer = dict(name="muon", learning_rate=0.01, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
    config.train = dict(
        epochs=50,
        batch_size=128,
        dtype="float32",
        log_every=10,  # steps
        checkpoint_every=200,  # steps
        validate_every=10,  # epochs
    )
    config.evaluate = protocols.PICTURES
    return config
