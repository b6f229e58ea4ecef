"""Fully connected encoder, and its mirror image as decoder, for small images."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Fraction, Width, Widths
from jaxembed.types import Images


class Encoder(nn.Module):
    """Pixels -> hidden layers with ReLU and dropout -> a linear code.

    28×28 pixels, widths (256, 128), latent 32: 237,984 parameters.

    Attributes:
      widths: the widths of the hidden layers, from the image to the code.
      latent: d, the size of the embedding.
      dropout: probability of dropping a hidden unit.
    """

    widths: Sequence[int]
    latent: int
    dropout: float

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, latent]."""
        pixels = images.reshape(images.shape[0], -1)
        return model.MLP((*self.widths, self.latent), self.dropout)(pixels, train=train)

    @nn.nowrap
    def decoder(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """Make the mirror image: the same widths in reverse, without dropout."""
        return Decoder(self.widths[::-1], image_shape)


class Decoder(nn.Module):
    """Code -> hidden layers with ReLU -> pixels through a sigmoid.

    The sigmoid keeps pixels in [0, 1]; it starts at grey, away from the all-black image that traps L1 on MNIST.
    28×28 pixels, widths (128, 256), latent 32: 238,736 parameters.
    """

    widths: Sequence[int]
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, embedding: Float[Array, "n d"], *, train: bool) -> Images:
        """Reconstruct n images [n, h, w, c] in [0, 1]."""
        widths = (*self.widths, math.prod(self.image_shape))
        pixels = model.MLP(widths, dropout=0.0)(embedding, train=train)
        return nn.sigmoid(pixels.astype(jnp.float32)).reshape(-1, *self.image_shape)


SMALLEST = dict(widths=(16,), latent=6, dropout=0.1)


def make(*, widths: Widths, latent: Width, dropout: Fraction) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    return Encoder(widths, latent, dropout)
