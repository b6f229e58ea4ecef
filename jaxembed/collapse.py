"""Collapse: when different images get nearly identical outputs."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# A run whose spread is below this at its end has collapsed.
LEAST_SPREAD = 0.05


def spread(rows: Float[Array, "n ..."], scale: Float[Array, ""] | None = None) -> Float[Array, " n"]:
    """Distance of each row from the mean of all rows, as a share of `scale`: near 0 after a collapse.

    Args:
      rows: [n, ...] float.
      scale: the unit; the root mean square length of the rows if there is no better one.

    Returns:
      [n] float, dimensionless, >= 0.
    """
    rows = rows.reshape(len(rows), -1)
    if scale is None:
        scale = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(rows), axis=1)))
    return deviation(rows) / jnp.maximum(scale, 1e-12)


def deviation(rows: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Distance of each row from the mean of all rows."""
    rows = rows.reshape(len(rows), -1)
    return jnp.linalg.norm(rows - jnp.mean(rows, axis=0, keepdims=True), axis=1)
