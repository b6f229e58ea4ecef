"""Layers with parameters per channel: BatchNorm and a bias, with sums that are fast on a CPU.

XLA's CPU compiler is up to nine times slower when it sums [n, h, w, c] over all axes except the last at once than
when it sums over h first, so that its loops run over whole rows, and then over the other axes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

Maps = Float[Array, "n h w c"]
# (n, h, w, c); n is a symbol in an exported program.
Shape = tuple[Any, int, int, int]


class BatchNorm(nn.Module):
    """Normalise each channel by its mean and variance over images and pixels, then scale and shift it.

    Parameters, statistics and results are those of flax's `nn.BatchNorm` over the last axis.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.

    Attributes:
      train: whether to normalise by this batch's statistics and update the running ones; if not, normalise by the
        running ones.
      momentum: weight of the old value in each update of the running statistics.
      scale_init: initializer of the scale.
    """

    train: bool
    momentum: float = 0.9
    scale_init: Callable[..., Array] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Normalise n maps [n, h, w, c] in float32; the result has the dtype of x."""
        channels, maps = (x.shape[-1],), x.astype(jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_variance = self.variable("batch_stats", "var", jnp.ones, channels)
        scale, bias = (
            self.param(name, init, channels).astype(jnp.float32)
            for name, init in (("scale", self.scale_init), ("bias", nn.initializers.zeros))
        )
        if self.train:
            mean = average(maps)
            variance = jnp.maximum(0, average(jnp.square(maps)) - jnp.square(mean))
            if not self.is_initializing():
                for running, batch in ((running_mean, mean), (running_variance, variance)):
                    running.value = self.momentum * running.value + (1 - self.momentum) * batch
        else:
            mean, variance = running_mean.value, running_variance.value
        factor = scale * jax.lax.rsqrt(variance + 1e-5)
        return ((maps - spread(mean, x.shape)) * spread(factor, x.shape) + spread(bias, x.shape)).astype(x.dtype)


class Bias(nn.Module):
    """Add a learned number, initially 0, to each channel."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Shift n maps [n, h, w, c]."""
        return x + spread(self.param("bias", nn.initializers.zeros, (x.shape[-1],)).astype(x.dtype), x.shape)


def average(x: Maps) -> Float[Array, " c"]:
    """Return the mean of each channel over images and pixels."""
    if jax.default_backend() != "cpu":
        # A GPU would write the sums over h to memory and read them back: a step of ResNet18 takes a fifth longer.
        return jnp.mean(x, axis=(0, 1, 2))
    return jnp.mean(jnp.mean(x, axis=1), axis=(0, 1))


def spread(numbers: Float[Array, " c"], shape: Shape) -> Maps:
    """Broadcast one number per channel to every pixel of images of shape (n, h, w, c)."""
    # The gradient is a sum: our own on a CPU, XLA's elsewhere.
    return (_spread if jax.default_backend() == "cpu" else jnp.broadcast_to)(numbers, shape)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _spread(numbers: Float[Array, " c"], shape: Shape) -> Maps:
    return jnp.broadcast_to(numbers, shape)


_spread.defvjp(
    lambda numbers, shape: (jnp.broadcast_to(numbers, shape), None),
    # Not written as a sum of sums, which XLA would merge into one sum again.
    lambda shape, _, gradient: (average(gradient) * (shape[0] * shape[1] * shape[2]),),
)
