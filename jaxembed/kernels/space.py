"""Pairs: every row of an embedding with every other, a chunk at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxembed.kernels import rounding

# What is printed, drawn and written as a distance, by the distance of a config.
NAMES = {"cosine": "distance on the unit sphere, sqrt(2 - 2 cos)", "euclidean": "Euclidean distance"}
# What people are shown of the distance between two images, made of it by `shown`.
SHOWN = {"cosine": "cosine distance, 1 - cos", "euclidean": "Euclidean distance"}
# Distances held at a time: 2**22 float32 are 16 MB, and what is computed from them a few times that.
HELD = 2**22
# Rows of which a copy in float64 is held at a time.
CHUNK = 4096
# Beyond this the squares of a few thousand dimensions do not fit float32.
LARGEST = 1e15
# Differences up to this count as none: the square of a smaller one loses digits in float32, and then vanishes.
SMALLEST = 1e-15
# Rows of a sample that shows where most rows are, and how many times their radius they may be from the origin: then
# their squared distances are 1/1000 of the squares.
SAMPLE, FAR = 256, 30


def of(embeddings: Float[np.ndarray, "n d"], *, distance: str) -> Float[np.ndarray, "n d"]:
    """Map embeddings to a space in which the Euclidean distance is the one asked for.

    Args:
      embeddings: [n, d] float.
      distance: "euclidean", or "cosine", which maps them to the unit sphere: there the squared distance is
        2 - 2 cos, which orders pairs as the cosine does.

    Returns:
      [n, d] float32, their mean at the origin, which changes no distance and keeps rounding small. Where a few rows
      pull the mean away from all others, or float32 rounds differences away, float64 with the median of a sample at
      the origin. If all are within SMALLEST of it, they are exactly 0.

    Raises:
      ValueError: if a number is not finite, or beyond LARGEST.
    """
    if not (usable := is_usable(embeddings)).all():
        row = int(np.argmin(usable))
        wrong = embeddings[row][~(np.abs(embeddings[row]) <= LARGEST)]
        raise ValueError(f"embeddings must be finite and within {LARGEST:g}, got {wrong[0]:g} in row {row}")
    points = directions(embeddings) if distance == "cosine" else embeddings.copy()
    points = points.astype(np.float32, copy=False)
    mean, most = points.mean(axis=0, keepdims=True, dtype=np.float64), bulk(embeddings, distance=distance)
    points -= mean.astype(np.float32)
    if not (most.is_near(mean) and most.keep_digits(points)):
        points = relative(embeddings, most.centre, distance=distance)
    return np.zeros_like(points) if are_zero(points) else points


def shown(lengths: Float[np.ndarray, "*n"], *, distance: str) -> Float[np.ndarray, "*n"]:
    """Turn distances in that space into those that people expect: by cosine 1 - cos, half their square."""
    return np.square(lengths) / 2 if distance == "cosine" else lengths


class Bulk(NamedTuple):
    """Where most rows are, whatever the others are.

    Attributes:
      chosen: [s] the rows of a sample.
      points: [s, d] float64, the sample.
      centre: [1, d] its median.
      radius: its median distance from there, of those that are not 0: most rows may be copies of one.
    """

    chosen: Int[np.ndarray, " s"]
    points: Float[np.ndarray, "s d"]
    centre: Float[np.ndarray, "1 d"]
    radius: float

    def is_near(self, origin: Float[np.ndarray, "1 d"]) -> bool:
        """Return whether squares about an origin leave most rows' distances their digits, in float32."""
        return bool(np.linalg.norm(self.centre - origin) <= FAR * self.radius)

    def keep_digits(self, points: Float[np.ndarray, "n d"]) -> bool:
        """Return whether rounded points, the sample among them, are as far from each other as in float64."""
        from scipy.spatial import distance  # here, because reports import metrics without it

        rounded, exact = (distance.pdist(each) for each in (points[self.chosen], self.points))
        return bool((np.abs(rounded - exact) <= 0.01 * exact).all())


def bulk(embeddings: Float[np.ndarray, "n d"], *, distance: str) -> Bulk:
    """Find most of n > 0 rows in the space of a distance."""
    chosen = np.unique(np.random.default_rng(0).integers(len(embeddings), size=SAMPLE))
    points = relative(embeddings[chosen], np.zeros((1, embeddings.shape[1])), distance=distance)
    centre = np.median(points, axis=0, keepdims=True)
    apart = np.linalg.norm(points - centre, axis=1)
    return Bulk(chosen, points, centre, float(np.median(apart[apart > 0])) if apart.any() else 0.0)


def relative(
    embeddings: Float[np.ndarray, "n d"], origin: Float[np.ndarray, "1 d"], *, distance: str
) -> Float[np.ndarray, "n d"]:
    """Map rows to the space of a distance and move an origin to 0, in float64."""
    points = np.asarray(embeddings, np.float64)
    return (directions(points) if distance == "cosine" else points) - origin


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

    The distances come from one matmul per chunk on the device; those of a row that has some which its rounding
    blurs, from differences. A row is at exactly 0 from itself and from its copies.

    Args:
      points: [n, d] around the origin, as `of` returns them.
    """
    import jax  # here, because reports import metrics without it

    from jaxembed.kernels import distances

    n = len(points)
    # Not jnp.asarray, which holds two copies of all rows for a while.
    everything, size = jax.device_put(points.astype(np.float32, copy=False)), max(1, HELD // n)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        squared = np.asarray(distances.squared(everything[start : start + size], everything))
        # Each row's distance from itself is 0; counted as whole numbers, which is ten times faster.
        if squared.size - np.count_nonzero(squared.view(np.int32)) > len(rows):
            again = np.flatnonzero(np.count_nonzero(squared, axis=1) < n - 1)
            squared = squared.copy()
            squared[again] = rounding.by_differences(points[rows[again]], points)
        yield rows, squared


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
