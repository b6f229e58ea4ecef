"""SimCLR on a folder of pictures, of any format and size and without labels (Chen et al. 2020, arXiv:2002.05709).

Pictures become 32×32; for larger ones, raise config.data.size and use the encoder `resnet`. Sub-folders of the
folder are classes: training does not use them, but the embedding is measured by them. If you have chosen your
settings, config.data.validation=0 trains on all pictures.

Run: python launch.py --config=configs/simclr_folder.py --config.data.path=PHOTOS
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="folder", size=32, channels=3, validation=0.1, test=0.0)
    config.encoder = dict(name="cnn", widths=(64, 128, 256), depth=2, stem="strided", latent=256, dropout=0.0)
    config.objective = dict(
        name="ntxent",
        temperature=0.5,
        projection=(256, 128),
        augmentation=dict(
            crop=dict(min_area=0.2, max_area=1.0),
            flip=dict(p=0.5),
            jitter=dict(p=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
            greyscale=dict(p=0.1),
        ),
    )
    config.optimizer = dict(name="muon", learning_rate=0.02, warmup_epochs=0.5, momentum=0.9, weight_decay=0.02)
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
