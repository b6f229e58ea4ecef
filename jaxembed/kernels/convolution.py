"""Convolution: XLA's own, except on a CPU, where it is made of what is fast there."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from jaxembed.kernels import winograd
from jaxembed.kernels.winograd import Pads

Strides = tuple[int, int]
_AS_DEFINED = contextvars.ContextVar("as_defined", default=False)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(
    images: Float[Array, "n h w i"],
    kernel: Float[Array, "p q j o"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "n H W o"]:
    """Convolve as `jax.lax.conv_general_dilated` does, with a gradient that is fast on a CPU, too.

    XLA's CPU compiler has no fast gradient of a convolution inside a loop (jax-ml/jax#12868), nor of a strided one
    by its input, and no Winograd convolution. What is told here goes through its fast ones, in a loop or not.

    Args:
      images: [n, h, w, i].
      kernel: [p, q, i, o].
      strides: along h and w.
      padding: "SAME", "VALID", or (before, after) along h and w.
      **options: the others of `conv_general_dilated`; with dilations or groups it is called as it is.
    """
    dilations = (options["lhs_dilation"], options["rhs_dilation"])
    plain = all(set(dilation) == {1} for dilation in dilations) and options["feature_group_count"] == 1
    if not plain or jax.default_backend() != "cpu" or _AS_DEFINED.get():
        return lax.conv_general_dilated(images, kernel, strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], strides, padding)
    return _convolve(images, kernel, tuple(strides), tuple(map(tuple, padding)))


@contextlib.contextmanager
def defined() -> Iterator[None]:
    """Within, what is traced convolves as `conv_general_dilated` says, everywhere: for counting operations."""
    token = _AS_DEFINED.set(True)
    try:
        yield
    finally:
        _AS_DEFINED.reset(token)


# Of flax, with the gradient above; where a bias is wanted, `channels.Bias` has the faster one.
Conv = partial(nn.Conv, use_bias=False, conv_general_dilated=convolve)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(images: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    if _is_for_winograd(kernel, strides, images.dtype):
        return winograd.convolve(images, kernel, pads)
    return lax.conv_general_dilated(images, kernel, strides, pads, dimension_numbers=LAYOUT)


def _forward(images: Array, kernel: Array, strides: Strides, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(images, kernel, strides, pads), (images, kernel)


def _backward(strides: Strides, pads: Pads, given: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    images, kernel = given
    arguments = (images, kernel, strides, pads, gradient)
    return _image_gradient(*arguments), _kernel_gradient(*arguments)


_convolve.defvjp(_forward, _backward)


def _is_for_winograd(kernel: Array, strides: Strides, dtype: Any) -> bool:
    # With fewer channels the maps cost more than the multiplications that they save.
    return kernel.shape[:2] == (3, 3) and strides == (1, 1) and min(kernel.shape[2:]) >= 64 and dtype == jnp.float32


def _image_gradient(images: Array, kernel: Array, strides: Strides, pads: Pads, gradient: Array) -> Array:
    """Convolve the gradient with the turned kernel: each pixel with those of its weights that met it.

    Pixels whose places differ by a multiple of the stride met the same weights, so each of the stride's places is
    a channel of its own, and they are put side by side in the end: no multiplications by the zeros of a dilation.
    """
    n, height, width, inputs = images.shape
    (rows, columns), (down, right) = kernel.shape[:2], strides
    places = jnp.pad(kernel, ((0, -rows % down), (0, -columns % right), (0, 0), (0, 0)))
    places = places.reshape(-(-rows // down), down, -(-columns // right), right, inputs, -1)
    turned = places.transpose(0, 2, 5, 1, 3, 4)[::-1, ::-1]
    turned = turned.reshape(*turned.shape[:3], -1)
    around = tuple(map(_around, turned.shape[:2], strides, pads, images.shape[1:3], gradient.shape[1:3]))
    met = _convolve(gradient, turned, (1, 1), around)
    met = met.reshape(n, *met.shape[1:3], down, right, inputs).transpose(0, 1, 3, 2, 4, 5)
    met = met.reshape(n, met.shape[1] * down, -1, inputs)
    # Whole strides of padding were left out by `around`; what is left of it goes here.
    top, left = pads[0][0] % down, pads[1][0] % right
    return met[:, top : top + height, left : left + width]


def _around(places: int, stride: int, pad: tuple[int, int], size: int, steps: int) -> tuple[int, int]:
    """Return how far a gradient of `steps` is padded along an axis, so that each of the `size` pixels is met.

    `places` is what is left of the kernel where each of the stride's places is a channel.
    """
    before, _ = pad
    return places - 1 - before // stride, -(-(size + before) // stride) - steps


def _kernel_gradient(images: Array, kernel: Array, strides: Strides, pads: Pads, gradient: Array) -> Array:
    """Convolve the images with the gradient: channels as images, images as channels."""
    if _is_for_winograd(kernel, strides, images.dtype):
        return winograd.kernel_gradient(images, gradient, pads)
    # What no place of the kernel reached is left out.
    reached = [
        (pad, place + stride * (steps - 1) - size - pad)
        for size, (pad, _), place, stride, steps in zip(
            images.shape[1:3], pads, kernel.shape[:2], strides, gradient.shape[1:3], strict=True
        )
    ]
    # The layout that XLA calls a library for, told in transposes: its own way to it does not reach into loops.
    weights = lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        (1, 1),
        reached,
        rhs_dilation=strides,
        dimension_numbers=LAYOUT,
    )
    return weights.transpose(1, 2, 0, 3)
