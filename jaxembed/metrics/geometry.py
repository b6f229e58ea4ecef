"""Geometry: where the classes are in an embedding, measured on its points with no classifier in between."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 60
LABELLED = True
COLUMNS = (
    Column(
        "silhouette",
        label="silhouette",
        better=1,
        percent=False,
        table="geometry",
        meaning="How much nearer an image's class is than the next; -1 to 1.",
    ),
    Column(
        "within_distance",
        label="within",
        better=0,
        percent=False,
        table="",
        meaning="Mean distance between images in the same class.",
    ),
    Column(
        "between_distance",
        label="between",
        better=0,
        percent=False,
        table="",
        meaning="Mean distance between images in different classes.",
    ),
    Column(
        "distance_ratio",
        label="within / between",
        better=-1,
        percent=False,
        table="geometry",
        meaning="Mean distance within a class over that between classes.",
    ),
    Column(
        "cdnv",
        label="CDNV",
        better=-1,
        percent=False,
        table="geometry",
        meaning="Variance within two classes over the squared distance of their means.",
    ),
)
# A squared distance of two points over their squared lengths: float32 has 7 digits.
_UNRESOLVED = 1e-14


def fit(train: Rows, *, distance: str) -> Measure:
    """Make the measure of a split's geometry; the train split is not used."""
    return lambda rows: Measured(measure(rows.points, rows.labels, distance=distance))


def measure(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], *, distance: str
) -> dict[str, float]:
    """Measure all columns in the space of a distance (`pairs.space`), the one that nearest neighbours use.

    Args:
      embeddings: [n, d] float.
      labels: [n] int, of at least two classes.
      distance: "cosine" or "euclidean".

    Raises:
      ValueError: if a number is not finite, or there is only one class.
    """
    points = space.of(embeddings, distance=distance)
    summed = class_sums(points, labels)
    within, between = class_distances(summed)
    return {
        "silhouette": silhouette(summed),
        "within_distance": within,
        "between_distance": between,
        "distance_ratio": within / between if between else 1.0,
        "cdnv": cdnv(points, labels),
    }


class ClassSums(NamedTuple):
    """Distances from each of n rows to the rows of each class; a row is at distance 0 from itself.

    Attributes:
      own: [n] the sum of the distances to the rows in its class.
      all: [n] the sum of the distances to all rows.
      next: [n] the least mean distance to the rows of another class.
      counts: [n] the number of rows in its class.
    """

    own: Float[np.ndarray, " n"]
    all: Float[np.ndarray, " n"]
    next: Float[np.ndarray, " n"]
    counts: Int[np.ndarray, " n"]


def class_sums(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> ClassSums:
    """Sum the Euclidean distances from each row to the rows of each class, in n² time for any number of classes.

    Returns:
      the sums, of the rows in the order of their classes.

    Raises:
      ValueError: if there is only one class: then there is nothing between classes.
    """
    order = np.argsort(labels, kind="stable")
    _, starts, class_of, counts = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    if len(counts) < 2:
        raise ValueError(f"the geometry of classes needs at least 2, got {len(counts)}")
    own, total, following = np.empty((3, len(points)))
    for rows, squared in space.squared_distances(points[order]):
        sums = np.add.reduceat(np.sqrt(squared).astype(np.float64), starts, axis=1)
        at_own = np.arange(len(rows)), class_of[rows]
        own[rows], total[rows] = sums[at_own], sums.sum(axis=1)
        sums /= counts[None, :]
        sums[at_own] = np.inf
        following[rows] = sums.min(axis=1)
    return ClassSums(own, total, following, counts[class_of])


def silhouette(summed: ClassSums) -> float:
    """Mean over the rows of (b - a) / max(a, b): how much nearer a row is to its own class than to the next one.

    a is its mean distance to the others in its class, b the least mean distance to another class.

    Returns:
      -1 to 1; 0 for a row that is the only one in its class or coincides with all others.

    Source: Rousseeuw 1987, J. Comput. Appl. Math. 20, eq. (2), as sklearn.metrics.silhouette_score.
    """
    others = summed.counts - 1
    a, b = summed.own / np.maximum(others, 1), summed.next
    larger = np.maximum(a, b)
    scores = np.divide(b - a, larger, out=np.zeros_like(a), where=(larger > 0) & (others > 0))
    return float(scores.mean())


def class_distances(summed: ClassSums) -> tuple[float, float]:
    """Mean distance over all same-class pairs, and over all different-class pairs.

    Returns:
      (within, between) in the units of the points; within is 0 if every class has one row.
    """
    n, same = len(summed.own), summed.counts.sum()
    within, between = summed.own.sum(), (summed.all - summed.own).sum()
    return float(within / max(same - n, 1)), float(between / (n * n - same))


def cdnv(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Class-distance normalised variance: the spread within two classes over the distance between their means.

    The mean over all pairs of classes of (v_i + v_j) / (2 |m_i - m_j|²), where v is a class's mean squared
    distance from its mean m. 0 is perfect: each class one point (neural collapse).

    Returns:
      >= 0, dimensionless; infinite where float32 cannot tell two classes' means apart.

    Source: Galanti, György & Hutter 2022, definition 1, arXiv:2112.15121.
    """
    # Imported here, because reports read the columns without it.
    from scipy.spatial import distance

    means, variances = space.moments(points, labels)
    k, lengths, total = len(means), np.square(means).sum(axis=1), 0.0
    size = max(1, space.HELD // k)
    for start in range(0, k, size):
        some, later = slice(start, start + size), slice(start, k)
        # Differences of means, which a matmul would blur where they are small.
        gaps = distance.cdist(means[some], means[later], "sqeuclidean")
        i, j = np.triu_indices(len(gaps), 1, gaps.shape[1])
        gaps, sizes = gaps[i, j], lengths[some][i] + lengths[later][j]
        if (gaps <= _UNRESOLVED * sizes).any():
            return float("inf")
        total += np.sum((variances[some][i] + variances[later][j]) / (2 * gaps))
    return float(total / (k * (k - 1) / 2))
