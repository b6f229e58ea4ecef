"""Speed: how many floating-point operations a step needs, and what share of the machine's peak it reaches."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxembed.kernels import convolution

REPEATS = 5


class Speed(NamedTuple):
    """Converts images per second into a share of the machine's peak.

    Attributes:
      flops: floating-point operations per image, forward and backward, as counted by `flops`.
      peak: floating-point operations per second that the machine can do, as measured by `peak`.
    """

    flops: float
    peak: float

    def share(self, images_per_second: float) -> float:
        """Return the share of the peak: 1 would mean that a step is nothing but a large matmul."""
        return images_per_second * self.flops / self.peak


def count(step: Callable[..., Any], *arguments: Any) -> float | None:
    """Count the floating-point operations of a function of arrays with XLA's cost analysis, without compiling it.

    A multiplication and an addition count as two. Convolutions are counted by their definition, however they are
    implemented. None where XLA does not report the count; it does so only for CPU programs.
    """
    # Without their sharding: the function may run on different devices from those that hold its arguments.
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arguments)
    with convolution.defined():
        # The program before compilation: the analysis cannot look into the libraries that the compiled one calls.
        costs = jax.jit(step).lower(*shapes).cost_analysis()
    return costs["flops"] if costs else None


@functools.cache
def peak(dtype: str) -> float:
    """Measure a large matmul in floating-point operations per second, over all devices; takes half a second."""
    on_cpu = jax.default_backend() == "cpu"
    size = 2048 if on_cpu else 8192
    # Not ones: they flip fewer bits, so a GPU multiplies them faster than it ever could the numbers in a step.
    numbers = jax.random.normal(jax.random.key(0), (size, size), dtype)
    matmul = jax.jit(jnp.matmul)
    # On an H200, launching a product takes a fifth as long as the product itself, so several are queued.
    products = 1 if on_cpu else 8

    def multiply() -> None:
        for _ in range(products):
            product = matmul(numbers, numbers)
        product.block_until_ready()

    # CPU devices share the cores.
    return (1 if on_cpu else jax.device_count()) * products * 2 * size**3 / fastest(multiply)


def fastest(work: Callable[[], Any]) -> float:
    """Return the time in seconds of the fastest of a few calls, after one that compiles and warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
