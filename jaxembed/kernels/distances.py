"""Squared distances between rows, from one matmul on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxembed.kernels import rounding


@jax.jit
def squared(chunk: Float[Array, "c d"], points: Float[Array, "n d"]) -> Float[Array, "c n"]:
    """Return the squared Euclidean distances of c rows to n points; those that rounding blurs are 0."""
    # Full float32: TF32 or bfloat16 would reorder near neighbours on a GPU or a TPU.
    products = jnp.matmul(chunk, points.T, precision="highest")
    lengths = jnp.sum(jnp.square(chunk), axis=1)[:, None] + jnp.sum(jnp.square(points), axis=1)[None, :]
    squared = lengths - 2 * products
    return jnp.where(squared > rounding.UNRESOLVED * lengths, squared, 0)
