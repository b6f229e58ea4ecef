"""Speed: how much arithmetic a step is, and how much of what the machine can do that makes."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxembed.kernels import convolution

REPEATS = 5


class Speed(NamedTuple):
    """What turns images a second into a share of the machine's peak.

    Attributes:
      flops: floating-point operations of an image, forward and backward, as `flops` counts them.
      peak: those that the machine can do in a second, as `peak` measures it.
    """

    flops: float
    peak: float

    def share(self, images_per_second: float) -> float:
        """Return the share of the peak: 1 would be a step that is nothing but a large matmul."""
        return images_per_second * self.flops / self.peak


def flops(step: Callable[..., Any], *arguments: Any) -> float | None:
    """Count the floating-point operations of a function of arrays by XLA's cost analysis, without compiling it.

    A multiplication and an addition are two. Convolutions count as they are defined, whatever they are made of.
    None where XLA does not tell, which it does of programs for a CPU alone.
    """
    # Without their places: the function may be for other devices than its arguments are on.
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), arguments)
    with convolution.defined():
        # Of the program before compilation: of the libraries that this calls, the analysis knows nothing.
        costs = jax.jit(step).lower(*shapes).cost_analysis()
    return costs["flops"] if costs else None


@functools.cache
def peak(dtype: str) -> float:
    """Measure the floating-point operations a second of a large matmul, on all devices together; half a second."""
    on_cpu = jax.default_backend() == "cpu"
    size = 2048 if on_cpu else 8192
    # Not ones: a GPU, which turns fewer bits there, multiplies them faster than it ever will the numbers of a step.
    numbers = jax.random.normal(jax.random.key(0), (size, size), dtype)
    matmul = jax.jit(jnp.matmul)
    # On an H200 to start one takes a fifth as long as the product itself: there the next ones wait in line.
    products = 1 if on_cpu else 8

    def multiply() -> None:
        for _ in range(products):
            product = matmul(numbers, numbers)
        product.block_until_ready()

    # CPU devices share the cores.
    return (1 if on_cpu else jax.device_count()) * products * 2 * size**3 / fastest(multiply)


def fastest(work: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of a few calls, after one that compiles and warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
