"""Small convolutional network for supervised and contrastive learning: no decoder."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Depth, Fraction, Width, Widths
from jaxembed.core.errors import InputError
from jaxembed.kernels import convolution
from jaxembed.types import Images

Stem = Literal["pooled", "strided", "whitened"]
# Share of the mean eigenvalue that is added to each, so that weak directions are not amplified into noise.
SHRINKAGE = 5e-4


class Encoder(nn.Module):
    """Blocks of convolutions with BatchNorm and ReLU; then a mean over space and a linear code.

    Each block halves the image by a max-pool between its first convolution and its BatchNorm (as in Jordan 2024,
    arXiv:2404.00498). A strided stem halves it by a 4×4 convolution of stride 2 instead, so that no layer works at
    the full resolution: on a CPU a fifth faster. A whitened stem puts fixed kernels before a pooled one.
    32×32×3 images, widths (64, 128, 256), depth 2, strided stem, latent 128: 1,180,544 parameters; depth 3 and a
    pooled stem: 1,954,240. Widths (64, 256, 256), depth 2 and a whitened stem: 2,002,816.

    Attributes:
      widths: channels of each block; each block halves the height and the width.
      depth: convolutions of each block.
      stem: "pooled", "strided" or "whitened": what the network starts with.
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
        x = nn.relu(Whitening()(images)) if self.stem == "whitened" else images
        for index, width in enumerate(self.widths):
            if index or self.stem != "strided":
                x = _max_pool(convolution.Conv(width, (3, 3))(x))
            else:
                x = convolution.Conv(width, (4, 4), strides=2)(x)
            x = model.complete_block(x, self.depth, train=train)
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.latent)(nn.Dropout(self.dropout, deterministic=not train)(x))


class Whitening(nn.Module):
    """A 2×2 convolution whose outputs, over the images it is initialised with, are uncorrelated and of variance 1.

    Its kernels are the eigenvectors of the covariance of 2×2 patches, each divided by the root of its eigenvalue,
    and their negatives, so that a ReLU keeps both signs. They are statistics of the data and are not trained.
    Source: Jordan 2024, arXiv:2404.00498, section 3.2.
    """

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "n H W k"]:
        """Map n images [n, h, w, c] to [n, h - 1, w - 1, 8 × c]."""
        mean = self.variable("batch_stats", "mean", lambda: jnp.mean(images, axis=(0, 1, 2))).value
        # In float32: weak directions are amplified by more than bfloat16 has digits.
        centred = images.astype(jnp.float32) - mean[None, None, None]
        kernel = self.variable("batch_stats", "kernel", lambda: _whitening(centred)).value
        whitened = lax.conv_general_dilated(centred, kernel, (1, 1), "VALID", dimension_numbers=convolution.LAYOUT)
        return whitened.astype(images.dtype)


def _whitening(images: Images) -> Float[Array, "2 2 c k"]:
    """Return the kernels that whiten the 2×2 patches of centred images, and their negatives."""
    _, height, width, channels = images.shape
    corners = [images[:, y : height - 1 + y, x : width - 1 + x] for y in range(2) for x in range(2)]
    patches = jnp.stack(corners, axis=3).reshape(-1, 4 * channels)
    covariance = patches.T @ patches / len(patches)
    variances, directions = jnp.linalg.eigh(covariance)
    # The last term is for images that hardly vary at all.
    scale = jnp.sqrt(jnp.maximum(variances, 0) + SHRINKAGE * jnp.mean(variances) + 1e-6)
    kernels = (directions / scale[None]).reshape(2, 2, channels, -1)
    return jnp.concatenate([kernels, -kernels], axis=-1)


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
