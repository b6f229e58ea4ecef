"""A block of convolutions, each with BatchNorm and ReLU: what the encoders do after a block's first convolution."""

from flax import linen as nn

from jaxembed.kernels import convolution, norm
from jaxembed.kernels.norm import Maps


def complete(x: Maps, depth: int, *, train: bool) -> Maps:
    """Normalise and rectify n maps [n, h, w, c], then convolve them depth - 1 times by 3×3, each time as well.

    For a compact module's `__call__`: the layers are that module's own, as if they were written there.
    """
    x = nn.relu(norm.BatchNorm(train)(x))
    for _ in range(depth - 1):
        x = nn.relu(norm.BatchNorm(train)(convolution.Conv(x.shape[-1], (3, 3))(x)))
    return x
