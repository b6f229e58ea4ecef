"""The convolution of the encoders: XLA's own, value and gradients, whatever it is made of on a CPU."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxembed.kernels import compiler, convolution, winograd

LAYOUT = convolution.LAYOUT
PLAIN = {
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "dimension_numbers": LAYOUT,
    "feature_group_count": 1,
    "precision": None,
}


def draw(*shape: int, seed: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(jnp.dtype(dtype))


def value_and_gradients(convolve, images, kernel):
    """Convolve, and pull an asymmetric gradient back to the images and the kernel."""
    outputs, pull = jax.vjp(convolve, images, kernel)
    return outputs, *pull(jnp.asarray(draw(*outputs.shape, seed=5, dtype=outputs.dtype)))


@cache
def by_xla(strides, padding, options):
    """The same by XLA's own convolution: one program for both `kernel_gradients`."""
    convolve = partial(lax.conv_general_dilated, window_strides=strides, padding=padding, **PLAIN | dict(options))
    return jax.jit(partial(value_and_gradients, convolve))


@pytest.fixture(params=[False, True], ids=["convolution", "matmuls"], autouse=True)
def kernel_gradients(request, monkeypatch):
    """By a convolution or, as where there is oneDNN, by matmuls."""
    monkeypatch.setattr(compiler, "calls_onednn", lambda: request.param)


def assert_as_xla(images, kernel, strides, padding, *, rtol, **options):
    # A partial is a function of its own to jit, which would not see that the kernel gradients are others now.
    convolve = partial(convolution.convolve, strides=strides, padding=padding, **PLAIN | options)
    ours = jax.jit(partial(value_and_gradients, convolve))(images, kernel)
    theirs = by_xla(strides, padding, tuple(options.items()))(images, kernel)
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape
        assert our.dtype == their.dtype
        our, their = np.asarray(our, np.float64), np.asarray(their, np.float64)
        np.testing.assert_allclose(our, their, atol=rtol * np.abs(their).max(), rtol=0)


@pytest.mark.parametrize("padding", ["SAME", ((0, 2), (3, 1))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (4, 4)])
def test_value_and_gradients_are_those_of_xla(size, strides, padding):
    images, kernel = draw(3, 7, 10, 3, seed=0), draw(*size, 3, 5, seed=1)
    assert_as_xla(images, kernel, strides, padding, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "padding"), [((2, 8, 8), "SAME"), ((3, 7, 9), ((2, 0), (1, 2))), ((5, 3, 4), "VALID")]
)
def test_value_and_gradients_are_those_of_xla_with_many_channels_too(shape, padding):
    images, kernel = draw(*shape, 64, seed=0), draw(3, 3, 64, 80, seed=1)
    assert_as_xla(images, kernel, (1, 1), padding, rtol=1e-5)


@pytest.mark.parametrize("strides", [(2, 2), (1, 3)])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 2)])
@pytest.mark.parametrize("inputs", [3, 16])
def test_a_strided_kernel_gradient_of_many_channels_is_that_of_xla_too(inputs, size, strides):
    images, kernel = draw(6, 9, 7, inputs, seed=0), draw(*size, inputs, 18, seed=1)
    assert_as_xla(images, kernel, strides, ((1, 1), (0, 2)), rtol=1e-5)


@pytest.mark.parametrize("channels", [(3, 5), (64, 64)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_value_and_gradients_are_those_of_xla_in_bfloat16(channels, strides):
    images, kernel = (
        draw(*shape, seed=0, dtype="bfloat16") for shape in ((2, 7, 8, channels[0]), (3, 3, *channels))
    )
    # Two units in the last place of bfloat16.
    assert_as_xla(images, kernel, strides, "SAME", rtol=2**-7)


@pytest.mark.parametrize("padding", ["SAME", ((0, 2), (3, 1)), ((4, 0), (0, 5))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5)])
def test_a_depthwise_convolution_is_that_of_xla(size, strides, padding):
    images, kernel = draw(3, 7, 10, 4, seed=0), draw(*size, 1, 4, seed=1)
    assert_as_xla(images, kernel, strides, padding, rtol=1e-5, feature_group_count=4)


def test_a_depthwise_convolution_is_that_of_xla_in_bfloat16():
    images, kernel = (draw(*shape, seed=0, dtype="bfloat16") for shape in ((2, 7, 8, 4), (3, 3, 1, 4)))
    # Each of nine sums is rounded.
    assert_as_xla(images, kernel, (2, 2), "SAME", rtol=2**-6, feature_group_count=4)


@pytest.mark.parametrize(
    "options", [{"rhs_dilation": (2, 2)}, {"lhs_dilation": (2, 1)}, {"feature_group_count": 2}], ids=str
)
def test_dilations_and_groups_are_left_to_xla(options):
    images = draw(2, 7, 8, 4, seed=0)
    kernel = draw(3, 3, 4 // options.get("feature_group_count", 1), 6, seed=1)
    assert_as_xla(images, kernel, (1, 1), ((1, 1), (1, 1)), rtol=1e-5, **options)


def test_winograd_is_for_many_channels_stride_1_and_float32(monkeypatch):
    used = []
    monkeypatch.setattr(winograd, "convolve", lambda images, kernel, pads: used.append(kernel.shape) or images)
    for channels, dtype, stride, size in [
        (64, "float32", 1, 3),
        (63, "float32", 1, 3),
        (64, "bfloat16", 1, 3),
        (64, "float32", 2, 3),
        (64, "float32", 1, 5),
    ]:
        images, kernel = (
            draw(1, 8, 8, channels, seed=0, dtype=dtype),
            draw(size, size, channels, 64, seed=0, dtype=dtype),
        )
        jax.eval_shape(
            partial(convolution.convolve, strides=(stride, stride), padding="SAME", **PLAIN), images, kernel
        )
    assert used == [(3, 3, 64, 64)]


def test_other_devices_get_xlas_own(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(convolution, "_convolve", None)
    images, kernel = jnp.asarray(draw(2, 5, 5, 3, seed=0)), jnp.asarray(draw(3, 3, 3, 4, seed=1))
    outputs = convolution.convolve(images, kernel, (1, 1), "SAME", **PLAIN)
    np.testing.assert_array_equal(
        outputs, lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)
    )
