"""Depthwise convolution, each channel with its own kernel, for a CPU, where XLA's own is many times slower."""

import operator
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from jaxembed.devices import mesh
from jaxembed.kernels import winograd
from jaxembed.kernels.winograd import Pads

Strides = tuple[int, int]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(images: Array, kernel: Float[Array, "p q 1 c"], strides: Strides, pads: Pads) -> Array:
    """Convolve each channel with its own kernel, as a sum of shifted products."""
    under = _shifted(winograd.pad(images, pads), kernel.shape[:2], strides)
    return reduce(operator.add, map(operator.mul, under, _taps(kernel)))


def _forward(images: Array, kernel: Array, strides: Strides, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return convolve(images, kernel, strides, pads), (images, kernel)


def _backward(strides: Strides, pads: Pads, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    """Convolve the gradient, with zeros between strides, with the flipped kernel; sum products for the kernel."""
    images, kernel = residuals
    around = []
    for size, taps, stride, (before, _), outputs in zip(
        images.shape[1:3], kernel.shape[:2], strides, pads, gradient.shape[1:3], strict=True
    ):
        first, spread = taps - 1 - before, (outputs - 1) * stride + 1
        around.append((first, size + taps - 1 - first - spread, stride - 1))
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *around, (0, 0, 0)))
    own = partial(_by_image, size=kernel.shape[:2], strides=strides, pads=pads)
    flipped = kernel[::-1, ::-1]
    return convolve(spread, flipped, (1, 1), ((0, 0), (0, 0))), mesh.summed(own, images, gradient)


convolve.defvjp(_forward, _backward)


def _by_image(
    images: Array, gradient: Array, *, size: tuple[int, int], strides: Strides, pads: Pads
) -> Float[Array, "p q 1 c"]:
    """Sum the products for each weight over the images before the pixels: XLA's sums over pixels are slow."""
    padded = winograd.pad(images, pads)

    def add(index: ArrayLike, sums: list[Float[Array, "H W c"]]) -> list[Float[Array, "H W c"]]:
        under = _shifted(padded[index][None], size, strides)
        return [total + pixels[0] * gradient[index] for total, pixels in zip(sums, under, strict=True)]

    zeros = [jnp.zeros(gradient.shape[1:], jnp.float32)] * (size[0] * size[1])
    sums = lax.fori_loop(0, len(images), add, zeros)
    totals = jnp.stack([jnp.sum(each, axis=(0, 1)) for each in sums])
    return totals.reshape(*size, 1, -1).astype(images.dtype)


def _shifted(padded: Array, size: tuple[int, int], strides: Strides) -> list[Float[Array, "n H W c"]]:
    """Return, for each weight of a kernel in order, the pixels of padded images that it is applied to."""
    (rows, columns), (down, right) = size, strides
    height, width = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
    return [padded[:, y : y + height : down, x : x + width : right] for y in range(rows) for x in range(columns)]


def _taps(kernel: Float[Array, "p q 1 c"]) -> list[Float[Array, "1 1 1 c"]]:
    return [kernel[y, x, 0][None, None, None] for y in range(kernel.shape[0]) for x in range(kernel.shape[1])]
