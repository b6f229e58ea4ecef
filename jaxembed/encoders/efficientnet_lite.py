"""EfficientNet-Lite: inverted residual blocks with depthwise convolutions, for images of about 224 pixels."""

import math
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Deviations, Means, Width, within
from jaxembed.kernels import convolution, norm
from jaxembed.types import Images

# Of each stage of Lite0: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
# Channels are multiples of it.
MULTIPLE = 8
Multiplier = Annotated[float, within(0.1, 4)]


class Encoder(nn.Module):
    """Strided stem, seven stages of inverted residual blocks, a 1×1 convolution, mean over space.

    Unlike EfficientNet it has ReLU6 and no squeeze-and-excitation. Stem and head are as wide, and the first and the
    last stage as deep, whatever the multipliers.
    Width 1, depth 1, head 1,280, 3 channels: 3,371,008 parameters (Lite0, without its classifier).
    Source: Tan & Le 2019, arXiv:1905.11946; https://github.com/tensorflow/tpu, models/official/efficientnet/lite.

    Attributes:
      width: multiplier of the channels: 1 for Lite0 and Lite1, 1.1, 1.2, 1.4 for Lite2 to Lite4.
      depth: multiplier of the blocks of a stage: 1 for Lite0, 1.1, 1.2, 1.4, 1.8 for Lite1 to Lite4.
      head: d, the channels of the last convolution, whose means are the embedding.
      mean: of each channel of the pixels in [0, 1], which is subtracted; empty for none.
      deviation: of each channel, which they are then divided by; empty for none.
    """

    width: float
    depth: float
    head: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, head]."""
        x = model.standardised(images, self.mean, self.deviation)
        x = nn.relu6(Normalised(STEM, 3, 2, name="stem")(x, train=train))
        blocks = 0
        for index, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
            inside = 0 < index < len(STAGES) - 1
            for block in range(math.ceil(repeats * self.depth) if inside else repeats):
                features, step = _rounded(channels * self.width), stride if block == 0 else 1
                x = Block(features, kernel, step, expansion, name=f"block_{blocks}")(x, train=train)
                blocks += 1
        x = nn.relu6(Normalised(self.head, 1, name="head")(x, train=train))
        return jnp.mean(x, axis=(1, 2))


class Block(nn.Module):
    """1×1 convolution to more channels, depthwise convolution, 1×1 to few; the input is added where it fits."""

    features: int
    kernel: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w k"], *, train: bool) -> Float[Array, "n H W c"]:
        """Map [n, h, w, k] to [n, h / stride, w / stride, features]."""
        y, inputs = x, x.shape[-1]
        if self.expansion != 1:
            y = nn.relu6(Normalised(inputs * self.expansion, 1, name="expand")(y, train=train))
        wide = y.shape[-1]
        y = nn.relu6(Normalised(wide, self.kernel, self.stride, groups=wide, name="depthwise")(y, train=train))
        y = Normalised(self.features, 1, name="project")(y, train=train)
        return x + y if self.stride == 1 and inputs == self.features else y


class Normalised(nn.Module):
    """A convolution whose padding keeps the size ("SAME"), and BatchNorm."""

    features: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "n h w k"], *, train: bool) -> Float[Array, "n H W c"]:
        """Map [n, h, w, k] to [n, h / stride, w / stride, features]."""
        sides, strides = (self.kernel, self.kernel), (self.stride, self.stride)
        x = convolution.Conv(self.features, sides, strides, feature_group_count=self.groups, name="conv")(x)
        return norm.BatchNorm(train, name="norm")(x)


def _rounded(channels: float) -> int:
    """Round to a multiple, but never down by more than a tenth."""
    rounded = max(MULTIPLE, int(channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return rounded + MULTIPLE if rounded < 0.9 * channels else rounded


SMALLEST = dict(width=0.1, depth=0.1, head=6, mean=(), deviation=())


def make(*, width: Multiplier, depth: Multiplier, head: Width, mean: Means, deviation: Deviations) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    return Encoder(width, depth, head, mean, deviation)
