"""Layers with parameters per channel: BatchNorm and a bias, with sums that are fast on a CPU.

XLA's CPU compiler sums [n, h, w, c] over all axes except the last up to nine times faster in two steps, the first
over a few h, so that its loops run over whole rows of pixels.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax import lax
from jaxtyping import Array, Float

Maps = Float[Array, "n h w c"]
Channels = Float[Array, " c"]
# (n, h, w, c); n is a symbol in an exported program.
Shape = tuple[Any, int, int, int]
EPSILON = 1e-5
# How many times the variance the squared mean may be: beyond that, E[x²] - E[x]² is off by more than a hundredth.
MOST = 1e5
# With 32 or more, XLA's TreeReductionRewriter writes to memory what could be summed at once.
ROWS = 16


class BatchNorm(nn.Module):
    """Normalise each channel by its mean and variance over images and pixels, then scale and shift it.

    Parameters, statistics and results are those of flax's `nn.BatchNorm` over the last axis. As there, the variance
    is E[x²] - E[x]², which loses digits where the mean is hundreds of times the deviation: `imprecise` says where.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.

    Attributes:
      train: whether to normalise by this batch's statistics and update the running ones; if not, normalise by the
        running ones.
      momentum: weight of the old value in each update of the running statistics.
      scale_init: initializer of the scale.
      affine: whether there are a scale and a shift to learn.
    """

    train: bool
    momentum: float = 0.9
    scale_init: Callable[..., Array] = nn.initializers.ones
    affine: bool = True

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Normalise n maps [n, h, w, c] in float32; the result has the dtype of x."""
        channels = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels)
        scale, bias = jnp.ones(channels), jnp.zeros(channels)
        if self.affine:
            scale, bias = (
                self.param(name, init, channels).astype(jnp.float32)
                for name, init in (("scale", self.scale_init), ("bias", nn.initializers.zeros))
            )
        if not self.train:
            return _scale(x, running_mean.value, _factor(scale, running_variance.value), bias)
        y, *statistics = _normalise(x, scale, bias)
        if not self.is_initializing():
            for running, batch in zip((running_mean, running_variance), statistics, strict=True):
                running.value = self.momentum * running.value + (1 - self.momentum) * lax.stop_gradient(batch)
        return y


class Bias(nn.Module):
    """Add a learned number, initially 0, to each channel."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Shift n maps [n, h, w, c]."""
        return x + _spread(self.param("bias", nn.initializers.zeros, (x.shape[-1],)).astype(x.dtype), x.shape)


def of_rows(layer: BatchNorm, rows: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Normalise each channel of rows [n, c], as of maps with one pixel."""
    return layer(rows[:, None, None])[:, 0, 0]


def imprecise(statistics: Mapping[str, Any]) -> list[str]:
    """Name the layers with a channel whose running mean is so large that its variance is rounded by over 1%."""
    flat = traverse_util.flatten_dict(statistics, sep="/")
    pairs = {
        name.removesuffix("/mean"): (
            np.asarray(mean, np.float64),
            np.asarray(flat[f"{name.removesuffix('mean')}var"]),
        )
        for name, mean in flat.items()
        if name.endswith("/mean")
    }
    return [name for name, (mean, variance) in pairs.items() if (mean**2 > MOST * (variance + EPSILON)).any()]


def average(x: Maps) -> Channels:
    """Return the mean of each channel over images and pixels."""
    if jax.default_backend() != "cpu":
        # A GPU would write the first sums to memory and read them back: a step of ResNet18 takes a fifth longer.
        return jnp.mean(x, axis=(0, 1, 2))
    _, height, width, channels = x.shape
    rows = max(rows for rows in range(1, ROWS + 1) if height % rows == 0)
    # Means, because XLA would merge a sum of sums into one sum again.
    return jnp.mean(jnp.mean(x.reshape(-1, rows, width, channels), axis=1), axis=(0, 1))


@jax.custom_vjp
def _normalise(x: Maps, scale: Channels, bias: Channels) -> tuple[Maps, Channels, Channels]:
    """Normalise by the batch's own mean and variance, and return those two, which have no gradient of their own.

    Its gradient in closed form needs two sums over the maps, where that of each operation in turn has five.
    """
    return _forward(x, scale, bias)[0]


def _forward(x: Maps, scale: Channels, bias: Channels) -> tuple[tuple[Maps, Channels, Channels], tuple[Array, ...]]:
    maps = x.astype(jnp.float32)
    mean = average(maps)
    variance = jnp.maximum(0, average(jnp.square(maps)) - jnp.square(mean))
    return (_scale(x, mean, _factor(scale, variance), bias), mean, variance), (x, scale, mean, variance)


def _backward(residuals: tuple[Array, ...], gradients: tuple[Maps, Channels, Channels]) -> tuple[Array, ...]:
    x, scale, mean, variance = residuals
    gradient = gradients[0].astype(jnp.float32)
    centred = x.astype(jnp.float32) - _everywhere(mean)
    inverse = lax.rsqrt(variance + EPSILON)
    shift, slope = average(gradient), average(gradient * centred) * inverse
    pulled = gradient - _everywhere(shift) - centred * _everywhere(inverse * slope)
    pulled = pulled * _everywhere(scale * inverse)
    n = x.size // x.shape[-1]
    return pulled.astype(x.dtype), n * slope, n * shift


_normalise.defvjp(_forward, _backward)


def _factor(scale: Channels, variance: Channels) -> Channels:
    return scale * lax.rsqrt(variance + EPSILON)


def _scale(x: Maps, mean: Channels, factor: Channels, bias: Channels) -> Maps:
    maps = x.astype(jnp.float32)
    return ((maps - _everywhere(mean)) * _everywhere(factor) + _everywhere(bias)).astype(x.dtype)


def _everywhere(numbers: Channels) -> Float[Array, "1 1 1 c"]:
    return numbers[None, None, None]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _spread(numbers: Channels, shape: Shape) -> Maps:
    """Broadcast one number per channel to every pixel of images of shape (n, h, w, c)."""
    return jnp.broadcast_to(numbers, shape)


_spread.defvjp(
    lambda numbers, shape: (jnp.broadcast_to(numbers, shape), None),
    lambda shape, _, gradient: (average(gradient) * (shape[0] * shape[1] * shape[2]),),
)
