"""Pairs: every row of an embedding against every other, a chunk at a time."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

# Distances held at a time: 2**22 float32 are 16 MB, and what is made of them a few times that.
HELD = 2**22
# Of |x|² + |y|² - 2 x·y, as a share of |x|² + |y|²: 8 units in the last place of float32.
ROUNDING = 1e-6
# Beyond this the squares of a few thousand dimensions do not fit float32.
LARGEST = 1e15


def space(embeddings: Float[np.ndarray, "n d"], *, distance: str) -> Float[np.ndarray, "n d"]:
    """Put embeddings where the Euclidean distance is the one asked for.

    Args:
      embeddings: [n, d] float.
      distance: "euclidean", or "cosine", which puts them on the unit sphere: there the squared distance is
        2 - 2 cos, which orders pairs as the cosine does.

    Returns:
      [n, d] float32, their mean at the origin, which changes no distance and keeps rounding small.

    Raises:
      ValueError: if a number is not finite, or beyond LARGEST.
    """
    if not (usable := is_usable(embeddings)).all():
        row = int(np.argmin(usable))
        raise ValueError(f"embeddings must be finite and within {LARGEST:g}, got {embeddings[row]} in row {row}")
    points = directions(embeddings) if distance == "cosine" else embeddings.copy()
    points = points.astype(np.float32, copy=False)
    points -= points.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return points


def is_usable(embeddings: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Say of each row whether all its numbers are finite, and within LARGEST."""
    # Extremes rather than absolute values, which would be a copy of all rows; a NaN is no extreme, and not within.
    return (embeddings.max(axis=1) <= LARGEST) & (embeddings.min(axis=1) >= -LARGEST)


def directions(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Divide each row by its length; a row of zeros stays one, as all shorter than 1e-12 are divided by that."""
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))[:, None]
    return embeddings / np.maximum(lengths, 1e-12)


def squared_distances(
    points: Float[np.ndarray, "n d"],
) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "c n"]]]:
    """Yield (the c rows' indices, their squared Euclidean distances to all n rows), in order.

    The distances come from one matmul a chunk on the device. What its rounding cannot tell from 0 is 0: a row is at
    exactly 0 from itself and from its copies.

    Args:
      points: [n, d] float32 round the origin, as `space` puts them.
    """
    n = len(points)
    # Not jnp.asarray, which holds two copies of all rows for a while.
    everything, size = jax.device_put(points), max(1, HELD // n)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        yield rows, np.asarray(_squared(everything[start : start + size], everything))


@jax.jit
def _squared(chunk: Float[Array, "c d"], points: Float[Array, "n d"]) -> Float[Array, "c n"]:
    # Full float32: TF32 or bfloat16 would reorder near neighbours on a GPU or a TPU.
    products = jnp.matmul(chunk, points.T, precision="highest")
    lengths = jnp.sum(jnp.square(chunk), axis=1)[:, None] + jnp.sum(jnp.square(points), axis=1)[None, :]
    squared = lengths - 2 * products
    return jnp.where(squared > ROUNDING * lengths, squared, 0)
