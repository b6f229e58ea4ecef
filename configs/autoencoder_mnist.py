"""L1 autoencoder on MNIST, 784-256-128-32-128-256-784, and classifiers on the frozen code of 32 numbers.

The sigmoid at the decoder's end starts at grey, away from the all-black image that traps L1. The network sees
noisy, slightly moved digits and reconstructs them without the noise. MLP probe on validation: plain digits for 50
epochs 97.2%; for 30 epochs, with noise 97.6%, moved 97.7%, both 97.9%, masked 4×4 patches 97.0%; for 60 epochs,
with AdamW 98.0%, with Muon 98.4%, in batches of 1,024 98.5%.

Measured (seed 0, test split, CPU with 2 cores): 168 s for 60 epochs; kNN 97.30%, linear probe 92.58%, MLP
probe 98.51%.

Run: python launch.py --config=configs/autoencoder_mnist.py
"""

from ml_collections import ConfigDict

from configs import protocols


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.data = dict(name="mnist", validation=5000)
    config.encoder = dict(name="fc", widths=(256, 128), latent=32, dropout=0.0)
    config.objective = dict(
        name="reconstruct",
        augmentation=dict(affine=dict(degrees=10.0, shift=0.05, min_scale=0.9, max_scale=1.1)),
        corruption=dict(noise=dict(deviation=0.3)),
    )
    config.optimizer = dict(name="muon", learning_rate=5e-3, warmup_epochs=1.0, momentum=0.95, weight_decay=0.01)
    config.train = dict(
        epochs=60,
        batch_size=1024,
        dtype="float32",
        log_every=50,  # steps
        checkpoint_every=1000,  # steps
        validate_every=10,  # epochs
    )
    config.evaluate = protocols.MNIST
    return config
