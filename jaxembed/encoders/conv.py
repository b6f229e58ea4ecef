"""Convolutional encoder with a decoder: strided convolutions down, sub-pixel convolutions up."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Depth, SomeWidths, Width, Widths
from jaxembed.core.errors import InputError
from jaxembed.kernels import convolution, norm
from jaxembed.types import Images


class Encoder(nn.Module):
    """Blocks of convolutions with BatchNorm and ReLU; then the means of the last map's quarters and a linear code.

    Each block halves the height and the width by a 4×4 convolution of stride 2; 3×3 ones follow. The quarters,
    which overlap where a size is odd, keep roughly where in the image a feature is: a classifier on the code has
    less to unlearn.
    32×32×3 images, widths (64, 128, 128), depth 1, latent 512: 659,584 parameters.

    Attributes:
      widths: channels of each block.
      depth: convolutions of each block.
      latent: d, the size of the embedding.
      decoder_widths: channels of each block of the decoder, one number for each block of the encoder.
    """

    widths: Sequence[int]
    depth: int
    latent: int
    decoder_widths: Sequence[int]

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, latent]."""
        x = images
        for width in self.widths:
            if max(x.shape[1:3]) < 2:
                raise InputError("config.encoder.widths has more blocks than the image can be halved; use fewer")
            x = model.complete_block(convolution.Conv(width, (4, 4), strides=2)(x), self.depth, train=train)
        return nn.Dense(self.latent)(_quarters(x))

    @nn.nowrap
    def decoder(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """Make the decoder to images of a shape (h, w, c)."""
        return Decoder(self.decoder_widths, image_shape)


class Decoder(nn.Module):
    """A code as a small map, then 3×3 convolutions whose channels become 2×2 pixels; a sigmoid at the end.

    Sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158) instead of a transposed one: the same family of
    maps, no checkerboard, and a kernel gradient that is not tens of times slower on a CPU.
    32×32×3 images, widths (64, 64, 32), latent 512: 750,348 parameters.
    """

    widths: Sequence[int]
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, embedding: Float[Array, "n d"], *, train: bool) -> Images:
        """Reconstruct n images [n, h, w, c] in [0, 1]."""
        height, width, colours = self.image_shape
        scale = 2 ** len(self.widths)
        # Rounded up, as the encoder's padding does; the excess is cut off at the end.
        rows, columns = -(-height // scale), -(-width // scale)
        x = nn.relu(nn.Dense(rows * columns * self.widths[0])(embedding))
        x = x.reshape(-1, rows, columns, self.widths[0])
        for features in self.widths[1:]:
            x = nn.relu(_upscale(norm.Bias()(convolution.Conv(4 * features, (3, 3))(x))))
        x = _upscale(norm.Bias()(convolution.Conv(4 * colours, (3, 3))(x)))
        return nn.sigmoid(x.astype(jnp.float32))[:, :height, :width]


def _quarters(x: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
    rows, columns = (-(-size // 2) for size in x.shape[1:3])
    halves = (x[:, :rows], x[:, -rows:])
    quarters = [half[:, :, side] for half in halves for side in (slice(columns), slice(-columns, None))]
    return jnp.concatenate([jnp.mean(quarter, axis=(1, 2)) for quarter in quarters], axis=1)


def _upscale(x: Float[Array, "n h w k"]) -> Float[Array, "n H W c"]:
    n, height, width, depth = x.shape
    blocks = x.reshape(n, height, width, 2, 2, depth // 4)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, depth // 4)


SMALLEST = dict(widths=(4, 8), depth=2, latent=6, decoder_widths=(8, 4))


def make(*, widths: SomeWidths, depth: Depth, latent: Width, decoder_widths: Widths) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    if len(decoder_widths) != len(widths):
        raise InputError(
            f"config.encoder.decoder_widths must have as many as widths, {len(widths)}, got {decoder_widths}"
        )
    return Encoder(widths, depth, latent, decoder_widths)
