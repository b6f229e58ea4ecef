"""Pairs: every row of an embedding with every other, a chunk at a time."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

# Distances held at a time: 2**22 float32 are 16 MB, and what is computed from them a few times that.
HELD = 2**22
# Rows of which a copy in float64 is held at a time.
CHUNK = 4096
# Beyond this the squares of a few thousand dimensions do not fit float32.
LARGEST = 1e15
# Differences up to this count as none: the square of a smaller one loses digits in float32, and then vanishes.
SMALLEST = 1e-15


def of(embeddings: Float[np.ndarray, "n d"], *, distance: str) -> Float[np.ndarray, "n d"]:
    """Map embeddings to a space in which the Euclidean distance is the one asked for.

    Args:
      embeddings: [n, d] float.
      distance: "euclidean", or "cosine", which maps them to the unit sphere: there the squared distance is
        2 - 2 cos, which orders pairs as the cosine does.

    Returns:
      [n, d] float32, their mean at the origin, which changes no distance and keeps rounding small. If all are
      within SMALLEST of it, they are exactly 0.

    Raises:
      ValueError: if a number is not finite, or beyond LARGEST.
    """
    if not (usable := is_usable(embeddings)).all():
        row = int(np.argmin(usable))
        wrong = embeddings[row][~(np.abs(embeddings[row]) <= LARGEST)]
        raise ValueError(f"embeddings must be finite and within {LARGEST:g}, got {wrong[0]:g} in row {row}")
    points = directions(embeddings) if distance == "cosine" else embeddings.copy()
    points = points.astype(np.float32, copy=False)
    points -= points.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return np.zeros_like(points) if are_zero(points) else points


def are_zero(points: Float[np.ndarray, "n d"]) -> bool:
    """Return whether all numbers are within SMALLEST of 0, so that nothing must be divided by their size."""
    return bool(points.max() <= SMALLEST and points.min() >= -SMALLEST)


def is_usable(embeddings: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Return for each row whether all its numbers are finite, and within LARGEST."""
    # Extremes rather than absolute values, which would be a copy of all rows; a NaN fails both comparisons.
    return (embeddings.max(axis=1) <= LARGEST) & (embeddings.min(axis=1) >= -LARGEST)


def directions(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Divide each row by its length, or by 1e-12 if it is shorter: a row of zeros remains zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))[:, None]
    return embeddings / np.maximum(lengths, 1e-12)


def squared_distances(
    points: Float[np.ndarray, "n d"],
) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "c n"]]]:
    """Yield (the c rows' indices, their squared Euclidean distances to all n rows), in order.

    The distances come from one matmul per chunk on the device. What its rounding cannot tell from 0 is 0: a row is
    at exactly 0 from itself and from its copies.

    Args:
      points: [n, d] float32 around the origin, as `of` returns them.
    """
    import jax  # here, because reports import metrics without it

    from jaxembed.kernels import distances

    n = len(points)
    # Not jnp.asarray, which holds two copies of all rows for a while.
    everything, size = jax.device_put(points), max(1, HELD // n)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        yield rows, np.asarray(distances.squared(everything[start : start + size], everything))


def others(found: Int[np.ndarray, "q k"], rows: Int[np.ndarray, " q"]) -> Bool[np.ndarray, "q k"]:
    """Mask that drops one of the k rows found for each row: the row itself, or the last if equal rows hide it."""
    itself = found == rows[:, None]
    itself[~itself.any(axis=1), -1] = True
    return ~itself


def moments(
    points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Return each class's mean [k, d], and its mean squared distance from it [k], in float64."""
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means, variances = np.zeros((len(counts), points.shape[1])), np.zeros(len(counts))
    order = np.argsort(class_of, kind="stable")
    for rows in (order[start : start + CHUNK] for start in range(0, len(points), CHUNK)):
        # Sorted, the rows of a class are one run, of which a chunk has a part.
        starts = np.flatnonzero(np.diff(class_of[rows], prepend=-1))
        means[class_of[rows][starts]] += np.add.reduceat(points[rows].astype(np.float64), starts, axis=0)
    means /= counts[:, None]
    for rows in (slice(start, start + CHUNK) for start in range(0, len(points), CHUNK)):
        apart = np.square(points[rows] - means[class_of[rows]]).sum(axis=1)
        variances += np.bincount(class_of[rows], apart, len(counts))
    return means, variances / counts
