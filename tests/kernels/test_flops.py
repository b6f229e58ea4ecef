"""Speed: operations counted by hand, and a peak that is one."""

import jax.numpy as jnp
import pytest
from flax import linen as nn

from jaxembed.kernels import convolution, flops


def test_a_matmul_is_two_operations_a_product():
    first, second = jnp.ones((3, 5)), jnp.ones((5, 7))
    assert flops.count(jnp.matmul, first, second) == 2 * 3 * 5 * 7


def test_a_convolution_counts_as_it_is_defined_whatever_it_is_made_of():
    images, kernel = jnp.ones((2, 8, 8, 64)), jnp.ones((3, 3, 64, 64))
    layer = convolution.Conv(64, (3, 3), padding="VALID")

    def convolve(images, kernel):
        return layer.apply({"params": {"kernel": kernel}}, images)

    assert flops.count(convolve, images, kernel) == 2 * 2 * 6 * 6 * 9 * 64 * 64
    plain = nn.Conv(64, (3, 3), padding="VALID", use_bias=False)
    assert jnp.allclose(convolve(images, kernel), plain.apply({"params": {"kernel": kernel}}, images), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_more_than_nothing(dtype):
    assert 1e8 < flops.peak(dtype) < 1e16


def test_a_share_is_what_is_done_of_what_could_be_done():
    assert flops.Speed(flops=2e6, peak=1e9).share(images_per_second=100.0) == pytest.approx(0.2)
