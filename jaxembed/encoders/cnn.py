"""Small convolutional network for supervised and contrastive learning: no decoder."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import registry
from jaxembed.types import Images, InputError


class Encoder(nn.Module):
    """Blocks of conv, max-pool, BatchNorm, ReLU, conv, BatchNorm, ReLU; then a mean over space and a linear code.

    Pooling before the first normalisation is what makes the block cheap: all but its first convolution run on
    a quarter of the pixels (as in Jordan 2024, arXiv:2404.00498).
    32×32×3 images, widths (64, 128, 256), latent 128: 1,179,200 parameters.

    Attributes:
      widths: channels of each block; each block halves the height and the width.
      latent: d, the size of the embedding.
      dropout: probability of dropping a channel's mean before the linear code.
    """

    widths: Sequence[int]
    latent: int
    dropout: float

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, latent]."""
        x = images
        for width in self.widths:
            x = _max_pool(nn.Conv(width, (3, 3), use_bias=False)(x))
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.Conv(width, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.latent)(nn.Dropout(self.dropout, deterministic=not train)(x))


def _max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n H W c"]:
    # As a maximum over a reshape: the gradient of reduce_window is 10 to 100 times slower on a CPU.
    n, height, width, channels = x.shape
    if min(height, width) < 2:
        raise InputError("config.encoder.widths must have fewer blocks: the image has no pixels left to pool")
    x = x[:, : height - height % 2, : width - width % 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def make(*, widths: tuple[int, ...], latent: int, dropout: float) -> Encoder:
    """Check the options of config.encoder and make the encoder."""
    registry.bounded("config.encoder", "> 0", widths=widths, latent=latent)
    registry.bounded("config.encoder", "at least 0 and below 1", dropout=dropout)
    return Encoder(widths, latent, dropout)
