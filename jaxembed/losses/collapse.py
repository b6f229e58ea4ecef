"""Collapse: when different images get nearly identical outputs."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# A run whose spread is below this at its end has collapsed.
LEAST_SPREAD = 0.05
# Above this, `pairwise.margin_pairs` does not tell rows apart that are within a seventh of the margin.
MOST_SPREAD = 100


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
        rows = rows / _unit(rows)
        scale = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(rows), axis=1)))
    return deviation(rows) / jnp.maximum(scale, 1e-12)


def deviation(rows: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Distance of each row from the mean of all rows."""
    rows = rows.reshape(len(rows), -1)
    centred = rows - jnp.mean(rows, axis=0, keepdims=True)
    unit = _unit(centred)
    return unit * jnp.linalg.norm(centred / unit, axis=1)


def _unit(rows: Float[Array, "n k"]) -> Float[Array, ""]:
    """Return what rows are divided by so that their squares do not overflow: 1, except in a run that diverges."""
    largest = jnp.max(jnp.abs(rows))
    return jnp.where(largest > 1e15, largest, 1)
