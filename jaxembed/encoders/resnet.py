"""ResNet with basic blocks and the stem for small images: no decoder."""

from functools import partial
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed.core.bounds import Width
from jaxembed.kernels import convolution, norm
from jaxembed.types import Images

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class Encoder(nn.Module):
    """3×3 stem without max-pool, four stages of basic blocks, mean over space: d = 8 × width.

    Depth 18, width 64, 3 channels: 11,168,832 parameters; depth 34: 21,276,992.
    Source: He et al. 2016, arXiv:1512.03385; the stem is that of Chen et al. 2020, appendix B.9, for CIFAR-10.

    Attributes:
      depth: 18 or 34.
      width: channels of the first stage; each later stage doubles them and halves the height and the width.
    """

    depth: int
    width: int

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, 8 × width]."""
        conv = partial(convolution.Conv, padding=1, kernel_init=nn.initializers.he_normal())
        batch_norm = partial(norm.BatchNorm, train)
        x = nn.relu(batch_norm()(conv(self.width, (3, 3))(images)))
        for stage, blocks in enumerate(BLOCKS[self.depth]):
            for block in range(blocks):
                strides = 2 if stage and not block else 1
                x = Block(self.width * 2**stage, strides, conv, batch_norm)(x)
        return jnp.mean(x, axis=(1, 2))


class Block(nn.Module):
    """Two 3×3 convolutions plus a shortcut, which is a strided 1×1 convolution where the shape changes."""

    features: int
    strides: int
    conv: partial
    norm: partial

    @nn.compact
    def __call__(self, x: Float[Array, "n h w k"]) -> Float[Array, "n H W c"]:
        """Map [n, h, w, k] to [n, h / strides, w / strides, features]."""
        y = nn.relu(self.norm()(self.conv(self.features, (3, 3), strides=self.strides)(x)))
        # A last scale of zero makes each block start as the identity (Goyal et al. 2017, section 5.1).
        y = self.norm(scale_init=nn.initializers.zeros)(self.conv(self.features, (3, 3))(y))
        if x.shape != y.shape:
            x = self.norm()(self.conv(self.features, (1, 1), strides=self.strides, padding=0)(x))
        return nn.relu(x + y)


SMALLEST = dict(depth=18, width=2)


def make(*, depth: Literal[18, 34], width: Width) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    return Encoder(depth, width)
