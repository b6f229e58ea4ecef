"""Winograd's convolution and its gradient by the kernel, held against a loop straight from the definition."""

import jax
import numpy as np
import pytest

from jaxembed.kernels import winograd

PADS = [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((2, 1), (0, 3))]
convolve = jax.jit(winograd.convolve, static_argnums=2)
kernel_gradient = jax.jit(winograd.kernel_gradient, static_argnums=2)


def draw(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def by_definition(images: np.ndarray, kernel: np.ndarray, pads: winograd.Pads) -> np.ndarray:
    """Sum, over the nine places of the kernel, the pixel that lies there times the weight."""
    padded = np.pad(images.astype(np.float64), ((0, 0), *pads, (0, 0)))
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    places = [(p, q) for p in range(3) for q in range(3)]
    return sum(padded[:, p : p + height, q : q + width] @ kernel[p, q].astype(np.float64) for p, q in places)


def test_a_kernel_of_one_weight_moves_the_image():
    images, kernel = draw(1, 5, 6, 1, seed=0), np.zeros((3, 3, 1, 1), np.float32)
    kernel[0, 2] = 2  # above, to the right
    expected = np.zeros((1, 5, 6, 1))
    expected[:, 1:, :-1] = 2 * images[:, :-1, 1:]
    outputs = convolve(images, kernel, ((1, 1), (1, 1)))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 9, 7, 2), (1, 3, 5, 4)])
def test_it_is_the_sum_over_the_nine_places(shape, pads):
    images, kernel = draw(*shape, seed=1), draw(3, 3, shape[-1], 5, seed=2)
    outputs = convolve(images, kernel, pads)
    np.testing.assert_allclose(outputs, by_definition(images, kernel, pads), atol=1e-4)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 9, 7, 2), (1, 3, 5, 4)])
def test_the_kernel_gradient_is_the_slope_of_that_sum(shape, pads):
    images = draw(*shape, seed=1)
    gradient = draw(*by_definition(images, np.zeros((3, 3, shape[-1], 5)), pads).shape, seed=2)
    expected = np.zeros((3, 3, shape[-1], 5))
    for index in np.ndindex(expected.shape):
        kernel = np.zeros(expected.shape)
        kernel[index] = 1
        expected[index] = np.sum(gradient * by_definition(images, kernel, pads))
    weights = kernel_gradient(images, gradient, pads)
    np.testing.assert_allclose(weights, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("n", [1, 6, 7])
def test_the_images_go_in_equal_chunks_that_change_nothing(n, monkeypatch):
    images, kernel, pads = draw(n, 8, 8, 2, seed=3), draw(3, 3, 2, 2, seed=4), ((1, 1), (1, 1))
    whole = convolve(images, kernel, pads), kernel_gradient(images, images, pads)
    monkeypatch.setattr(winograd, "CHUNK_TILES", 12)  # three images of 8×8
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 0)
    assert winograd._chunks(n, 64, 4) == {1: 1, 6: 2, 7: 7}[n]

    @jax.jit  # a function of this test, or jit would take what it made of the whole
    def chunked(images, kernel):
        return winograd.convolve(images, kernel, pads), winograd.kernel_gradient(images, images, pads)

    outputs, weights = chunked(images, kernel)
    np.testing.assert_allclose(outputs, whole[0], atol=1e-4)
    np.testing.assert_allclose(weights, whole[1], atol=1e-3)
