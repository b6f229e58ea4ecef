"""Convolution: XLA's own, except on a CPU, where it is built from operations that are fast there."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from jaxembed.devices import mesh
from jaxembed.kernels import compiler, depthwise, winograd
from jaxembed.kernels.fusion import once
from jaxembed.kernels.winograd import Pads

Strides = tuple[int, int]
_AS_DEFINED = contextvars.ContextVar("as_defined", default=False)
LAYOUT = ("NHWC", "HWIO", "NHWC")
# Fewer channels than this make a matmul too narrow to be fast.
FEW = 16
# Of images, in a kernel gradient by matmuls, at most.
CHUNKS = 8


def convolve(
    images: Float[Array, "n h w i"],
    kernel: Float[Array, "p q j o"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "n H W o"]:
    """Convolve as `jax.lax.conv_general_dilated` does, with a gradient that is also fast on a CPU.

    XLA's CPU compiler has no fast gradient of a convolution inside a loop (jax-ml/jax#12868), no fast gradient of a
    strided convolution with respect to its input, and no Winograd convolution. Here all of them are written as
    operations for which it does have fast code, inside a loop or not.

    Args:
      images: [n, h, w, i].
      kernel: [p, q, i, o].
      strides: along h and w.
      padding: "SAME", "VALID", or (before, after) along h and w.
      **options: the other arguments of `conv_general_dilated`, which is called directly if there are dilations, or
        groups of several channels.
    """
    dilations = (options["lhs_dilation"], options["rhs_dilation"])
    groups = options["feature_group_count"]
    own = _convolve if groups == 1 else depthwise.convolve
    known = groups == 1 or groups == images.shape[3] == kernel.shape[3]
    plain = all(set(dilation) == {1} for dilation in dilations)
    if not (plain and known) or jax.default_backend() != "cpu" or _AS_DEFINED.get():
        return lax.conv_general_dilated(images, kernel, strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], strides, padding)
    return own(images, kernel, tuple(strides), tuple(map(tuple, padding)))


@contextlib.contextmanager
def defined() -> Iterator[None]:
    """Trace every convolution in this context as a plain `conv_general_dilated`, for counting operations."""
    token = _AS_DEFINED.set(True)
    try:
        yield
    finally:
        _AS_DEFINED.reset(token)


# Flax's layer, with the gradient above; for a bias, use `norm.Bias`, whose gradient is faster.
Conv = partial(nn.Conv, use_bias=False, conv_general_dilated=convolve)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(images: Array, kernel: Array, strides: Strides, pads: Pads) -> Array:
    if _is_for_winograd(kernel, strides, images.dtype):
        own = partial(winograd.convolve, kernel=kernel, pads=pads)
        # Its loop over chunks of images is not divided among devices by XLA: each would compute all of it.
        return mesh.by_rows(own)(images) if mesh.divides(len(images)) else own(images)
    return lax.conv_general_dilated(images, kernel, strides, pads, dimension_numbers=LAYOUT)


def _forward(images: Array, kernel: Array, strides: Strides, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(images, kernel, strides, pads), (images, kernel)


def _backward(strides: Strides, pads: Pads, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    images, kernel = residuals
    arguments = (images, kernel, strides, pads, gradient)
    return _image_gradient(*arguments), _kernel_gradient(*arguments)


_convolve.defvjp(_forward, _backward)


def _is_for_winograd(kernel: Array, strides: Strides, dtype: Any) -> bool:
    # With fewer channels the transforms cost more than the multiplications that they save.
    return kernel.shape[:2] == (3, 3) and strides == (1, 1) and min(kernel.shape[2:]) >= 64 and dtype == jnp.float32


def _image_gradient(images: Array, kernel: Array, strides: Strides, pads: Pads, gradient: Array) -> Array:
    """Convolve the gradient with the flipped kernel: each pixel is reached through the weights applied to it.

    Pixels whose positions differ by a multiple of the stride had the same weights applied to them. So each phase, a
    position modulo the stride, becomes a channel, and the phases are interleaved at the end: nothing is multiplied
    by the zeros of a dilated gradient.
    """
    n, height, width, inputs = images.shape
    (rows, columns), (down, right) = kernel.shape[:2], strides
    phases = jnp.pad(kernel, ((0, -rows % down), (0, -columns % right), (0, 0), (0, 0)))
    phases = phases.reshape(-(-rows // down), down, -(-columns // right), right, inputs, -1)

    def reached(taps: tuple[int, int], which: tuple[slice, slice]) -> Float[Array, "n y x a b i"]:
        weights = phases[: taps[0], which[0], : taps[1], which[1]]
        flipped = weights.transpose(0, 2, 5, 1, 3, 4)[::-1, ::-1]
        padding = tuple(map(_gradient_padding, taps, strides, pads, images.shape[1:3], gradient.shape[1:3]))
        pixels = _convolve(gradient, flipped.reshape(*flipped.shape[:3], -1), (1, 1), padding)
        return pixels.reshape(*pixels.shape[:3], *flipped.shape[3:])

    across = [
        jnp.concatenate([reached((y, x), (above, left)) for x, left in _by_taps(columns, right)], axis=4)
        for y, above in _by_taps(rows, down)
    ]
    pixels = jnp.concatenate(across, axis=3)
    unreached = (0, down - pixels.shape[3]), (0, right - pixels.shape[4])
    pixels = jnp.pad(pixels, ((0, 0), (0, 0), (0, 0), *unreached, (0, 0))).transpose(0, 1, 3, 2, 4, 5)
    pixels = pixels.reshape(n, pixels.shape[1] * down, -1, inputs)
    # `_gradient_padding` removed whole strides of the images' padding; the remainder is removed here.
    top, left = pads[0][0] % down, pads[1][0] % right
    return pixels[:, top : top + height, left : left + width]


def _by_taps(size: int, stride: int) -> list[tuple[int, slice]]:
    """Divide the phases of a stride by the number of weights that reach them, without those that none reaches."""
    fewest, more = divmod(size, stride)
    divided = [(fewest + 1, slice(0, more)), (fewest, slice(more, stride))]
    return [(taps, phases) for taps, phases in divided if taps and phases.start < phases.stop]


def _gradient_padding(taps: int, stride: int, pad: tuple[int, int], size: int, outputs: int) -> tuple[int, int]:
    """Return how far a gradient of size `outputs` is padded along an axis, so that all `size` pixels are covered.

    `taps` is the size of the kernel along the axis once each phase of the stride is a channel.
    """
    before, _ = pad
    return taps - 1 - before // stride, -(-(size + before) // stride) - outputs


def _kernel_gradient(images: Array, kernel: Array, strides: Strides, pads: Pads, gradient: Array) -> Array:
    """Return the gradient with respect to the kernel, computed as is fastest for its shape."""
    if _is_for_winograd(kernel, strides, images.dtype):
        own = partial(winograd.kernel_gradient, pads=pads)
    elif _is_for_matmuls(kernel, images.dtype):
        own = partial(_by_weight, size=kernel.shape[:2], strides=strides, pads=pads)
    else:
        return _transposed_convolution(images, kernel, strides, pads, gradient)
    return mesh.summed(own, images, gradient)


def _is_for_matmuls(kernel: Array, dtype: Any) -> bool:
    # oneDNN has no kernel gradient that XLA could call. With few outputs, matmuls in float32 are too narrow.
    few = kernel.shape[3] < FEW and dtype == jnp.float32
    return kernel.shape[:2] == (1, 1) or (compiler.calls_onednn() and not few)


def _by_weight(
    images: Array, gradient: Array, *, size: tuple[int, int], strides: Strides, pads: Pads
) -> Float[Array, "p q i o"]:
    """Multiply what lies under each weight of the kernel, for every output, by the gradient."""
    height, width, outputs = gradient.shape[1:]
    inputs, (down, right) = images.shape[3], strides
    # In a few chunks, so that what a matmul reads is still in a cache.
    chunks = max(chunks for chunks in range(1, CHUNKS + 1) if len(images) % chunks == 0)
    parts, slopes = (each.reshape(chunks, -1, *each.shape[1:]) for each in (winograd.pad(images, pads), gradient))

    def add(index: ArrayLike, total: Float[Array, "t i o"]) -> Float[Array, "t i o"]:
        under = [
            parts[index, :, y : y + down * (height - 1) + 1 : down, x : x + right * (width - 1) + 1 : right]
            for y in range(size[0])
            for x in range(size[1])
        ]
        # Few inputs make narrow matmuls: all weights in one.
        under = [jnp.concatenate(under, axis=-1)] if inputs < FEW else under
        slope = slopes[index].reshape(-1, outputs)
        products = [jnp.matmul(pixels.reshape(-1, pixels.shape[-1]).T, slope) for pixels in under]
        return total + jnp.stack(products).reshape(total.shape).astype(jnp.float32)

    zeros = jnp.zeros((size[0] * size[1], inputs, outputs), jnp.float32)
    return lax.fori_loop(0, chunks, add, zeros).reshape(*size, inputs, outputs).astype(images.dtype)


def _transposed_convolution(
    images: Array, kernel: Array, strides: Strides, pads: Pads, gradient: Array
) -> Float[Array, "p q i o"]:
    """Convolve the images with the gradient, with channels in the role of images and images as channels."""
    if min(kernel.shape[2:]) >= FEW and max(strides) > 1:
        # Otherwise XLA fuses the transposes below with what comes before, into loops ten times slower than its own.
        images, gradient = once(images, axis=-1), once(gradient, axis=-1)
    # Negative at the end where the kernel did not reach the last pixels.
    padding = [
        (before, taps + stride * (outputs - 1) - size - before)
        for size, (before, _), taps, stride, outputs in zip(
            images.shape[1:3], pads, kernel.shape[:2], strides, gradient.shape[1:3], strict=True
        )
    ]
    # Transposed explicitly to the layout for which XLA calls a library; XLA's own conversion to it skips loops.
    weights = lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        (1, 1),
        padding,
        rhs_dilation=strides,
        dimension_numbers=LAYOUT,
    )
    return weights.transpose(1, 2, 0, 3)
