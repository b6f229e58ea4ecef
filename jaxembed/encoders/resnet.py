"""ResNet, with the stem for small images or that for large ones: no decoder."""

from functools import partial
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Deviations, Means, Width
from jaxembed.kernels import convolution, norm
from jaxembed.types import Images

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
# Channels that a bottleneck block ends with, for each of those it works in.
WIDER = 4
Stem = Literal["small", "large"]


class Encoder(nn.Module):
    """A stem, four stages of blocks, mean over space: d = 8 × width, four times as many with bottleneck blocks.

    Depths 18 and 34 have blocks of two 3×3 convolutions, 50 has bottlenecks. The small stem is a 3×3 convolution;
    the large one, 7×7 with stride 2 and a max-pool with stride 2, is torchvision's and timm's.
    Depth 18, width 64, 3 channels: 11,168,832 parameters; depth 34: 21,276,992. Large stem, depth 18: 11,176,512;
    depth 50: 23,508,032.
    Source: He et al. 2016, arXiv:1512.03385; the small stem is that of Chen et al. 2020, appendix B.9.
    Bottlenecks have the stride at their 3×3 convolution, as in Goyal et al. 2017, arXiv:1706.02677, section 5.1.

    Attributes:
      depth: 18, 34 or 50.
      width: channels of the first stage; each later stage doubles them and halves the height and the width.
      stem: "small" or "large".
      mean: of each channel of the pixels in [0, 1], which is subtracted; empty for none.
      deviation: of each channel, which they are then divided by; empty for none.
    """

    depth: int
    width: int
    stem: Stem
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, d]."""
        conv = partial(convolution.Conv, padding=1, kernel_init=nn.initializers.he_normal())
        batch_norm = partial(norm.BatchNorm, train)
        x = model.standardised(images, self.mean, self.deviation)
        if self.stem == "large":
            x = _max_pool(nn.relu(batch_norm()(conv(self.width, (7, 7), strides=2, padding=3)(x))))
        else:
            x = nn.relu(batch_norm()(conv(self.width, (3, 3))(x)))
        block_of = Block if self.depth < 50 else Bottleneck
        for stage, blocks in enumerate(BLOCKS[self.depth]):
            for block in range(blocks):
                strides = 2 if stage and not block else 1
                x = block_of(self.width * 2**stage, strides, conv, batch_norm)(x)
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


class Bottleneck(nn.Module):
    """1×1 to few channels, 3×3, 1×1 to many, plus a shortcut as in `Block`."""

    features: int
    strides: int
    conv: partial
    norm: partial

    @nn.compact
    def __call__(self, x: Float[Array, "n h w k"]) -> Float[Array, "n H W c"]:
        """Map [n, h, w, k] to [n, h / strides, w / strides, 4 × features]."""
        y = nn.relu(self.norm()(self.conv(self.features, (1, 1), padding=0)(x)))
        y = nn.relu(self.norm()(self.conv(self.features, (3, 3), strides=self.strides)(y)))
        y = self.norm(scale_init=nn.initializers.zeros)(self.conv(WIDER * self.features, (1, 1), padding=0)(y))
        if x.shape != y.shape:
            x = self.norm()(self.conv(WIDER * self.features, (1, 1), strides=self.strides, padding=0)(x))
        return nn.relu(x + y)


def _max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n H W c"]:
    """Take the maximum of 3×3 pixels at every second pixel, with zeros around maps that have no negative number."""
    # As maxima of slices: the gradient of reduce_window is 10 to 100 times slower on a CPU.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = ((size - 1) // 2 for size in x.shape[1:3])
    rows = [x[:, start : start + 2 * height - 1 : 2] for start in range(3)]
    x = jnp.maximum(jnp.maximum(rows[0], rows[1]), rows[2])
    columns = [x[:, :, start : start + 2 * width - 1 : 2] for start in range(3)]
    return jnp.maximum(jnp.maximum(columns[0], columns[1]), columns[2])


SMALLEST = dict(depth=18, width=2, stem="small", mean=(), deviation=())


def make(*, depth: Literal[18, 34, 50], width: Width, stem: Stem, mean: Means, deviation: Deviations) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    return Encoder(depth, width, stem, mean, deviation)
