"""Small convolutional network for supervised and contrastive learning: no decoder."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.errors import InputError
from jaxembed.kernels import convolution
from jaxembed.options import Depth, Fraction, Width, Widths
from jaxembed.types import Images

Stem = Literal["pooled", "strided"]


class Encoder(nn.Module):
    """Blocks of convolutions with BatchNorm and ReLU; then a mean over space and a linear code.

    Each block halves the image by a max-pool between its first convolution and its BatchNorm (as in Jordan 2024,
    arXiv:2404.00498). A strided stem halves it by a 4×4 convolution of stride 2 instead, so that no layer works at
    the full resolution: on a CPU a fifth faster.
    32×32×3 images, widths (64, 128, 256), depth 2, strided stem, latent 128: 1,180,544 parameters; depth 3 and a
    pooled stem: 1,954,240.

    Attributes:
      widths: channels of each block; each block halves the height and the width.
      depth: convolutions of each block.
      stem: "pooled" or "strided": how the first block halves the image.
      latent: d, the size of the embedding.
      dropout: probability of dropping a channel's mean before the linear code.
    """

    widths: Sequence[int]
    depth: int
    stem: Stem
    latent: int
    dropout: float

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, latent]."""
        x = images
        for index, width in enumerate(self.widths):
            if index or self.stem == "pooled":
                x = _max_pool(convolution.Conv(width, (3, 3))(x))
            else:
                x = convolution.Conv(width, (4, 4), strides=2)(x)
            x = model.complete_block(x, self.depth, train=train)
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.latent)(nn.Dropout(self.dropout, deterministic=not train)(x))


def _max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n H W c"]:
    n, height, width, depth = x.shape
    if min(height, width) < 2:
        raise InputError("config.encoder.widths has more blocks than the image can be halved; use fewer")
    x = x[:, : height - height % 2, : width - width % 2].reshape(n, height // 2, 2, width // 2, 2, depth)
    # The gradient of reduce_window is 10 to 100 times slower on a CPU, that of a maximum over these axes twice.
    upper, lower = (jnp.maximum(x[:, :, row, :, 0], x[:, :, row, :, 1]) for row in range(2))
    return jnp.maximum(upper, lower)


SMALLEST = dict(widths=(4, 8), depth=2, stem="strided", latent=6, dropout=0.1)


def make(*, widths: Widths, depth: Depth, stem: Stem, latent: Width, dropout: Fraction) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    return Encoder(widths, depth, stem, latent, dropout)
