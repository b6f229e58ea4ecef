"""Convolutional encoder that can be undone: strided convolutions in, sub-pixel convolutions out."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import channels, convolution, registry
from jaxembed.types import Images, InputError


class Encoder(nn.Module):
    """4×4 convolutions of stride 2 with ReLU, then a linear code: each halves the height and the width.

    32×32×3 images, widths (32, 64, 128), latent 128: 427,872 parameters.

    Attributes:
      widths: channels after each convolution.
      latent: d, the size of the embedding.
    """

    widths: Sequence[int]
    latent: int

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, latent]."""
        x = images
        for width in self.widths:
            x = convolution.Conv(width, (4, 4), strides=2)(x)
            x = nn.relu(channels.Bias()(x))
        return nn.Dense(self.latent)(x.reshape(len(x), -1))

    @nn.nowrap
    def decoder(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """Make the mirror image, which ends in the image's own channels."""
        return Decoder(self.widths[::-1], image_shape)


class Decoder(nn.Module):
    """A code as a small map, then 3×3 convolutions whose channels become 2×2 pixels; a sigmoid at the end.

    Sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158) instead of a transposed one: the same family of
    maps, no chequerboard, and a kernel gradient that XLA does not do tens of times slower on a CPU.
    32×32×3 images, widths (128, 64, 32), latent 128: 636,684 parameters.
    """

    widths: Sequence[int]
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, embedding: Float[Array, "n d"], *, train: bool) -> Images:
        """Reconstruct n images [n, h, w, c] in [0, 1]."""
        height, width, colours = self.image_shape
        scale = 2 ** len(self.widths)
        # Rounded up, as the encoder's padding does; what is too much is cut off at the end.
        rows, columns = -(-height // scale), -(-width // scale)
        x = nn.relu(nn.Dense(rows * columns * self.widths[0])(embedding))
        x = x.reshape(-1, rows, columns, self.widths[0])
        for features in self.widths[1:]:
            x = nn.relu(_upscale(channels.Bias()(convolution.Conv(4 * features, (3, 3))(x))))
        x = _upscale(channels.Bias()(convolution.Conv(4 * colours, (3, 3))(x)))
        return nn.sigmoid(x.astype(jnp.float32))[:, :height, :width]


def _upscale(x: Float[Array, "n h w k"]) -> Float[Array, "n H W c"]:
    n, height, width, depth = x.shape
    blocks = x.reshape(n, height, width, 2, 2, depth // 4)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, depth // 4)


def make(*, widths: tuple[int, ...], latent: int) -> Encoder:
    """Check the options of config.encoder and make the encoder."""
    registry.bounded("config.encoder", "> 0", widths=widths, latent=latent)
    if not widths:
        raise InputError("config.encoder.widths must have at least one convolution, got none")
    return Encoder(widths, latent)
