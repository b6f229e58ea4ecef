"""Geometry: where the classes are in an embedding, measured on its points with no classifier in between."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import pairs
from jaxembed.measures import Column, Measure, Measured, Rows

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
    points = pairs.space(embeddings, distance=distance)
    sums = class_sums(points, labels)
    within, between = class_distances(sums)
    return {
        "silhouette": silhouette(sums),
        "within_distance": within,
        "between_distance": between,
        "distance_ratio": within / between if between else 1.0,
        "cdnv": cdnv(points, labels),
    }


class ClassSums(NamedTuple):
    """Sums of distances from each of n rows to the rows of each of the k classes that occur.

    Attributes:
      sums: [n, k] float64; a row is at distance 0 from itself.
      member: [n, k] bool, True at a row's own class.
    """

    sums: Float[np.ndarray, "n k"]
    member: np.ndarray


def class_sums(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> ClassSums:
    """Sum the Euclidean distances from each row to the rows of each class.

    Raises:
      ValueError: if there is only one class: then there is nothing between classes.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(f"the geometry of classes needs at least 2, got {len(present)}")
    member = labels[:, None] == present[None, :]
    columns = member.astype(np.float32)
    sums = [np.sqrt(squared) @ columns for _, squared in pairs.squared_distances(points)]
    return ClassSums(np.concatenate(sums).astype(np.float64), member)


def silhouette(classes: ClassSums) -> float:
    """Mean over the rows of (b - a) / max(a, b): how much nearer a row is to its own class than to the next one.

    a is its mean distance to the others in its class, b the least mean distance to another class.

    Returns:
      -1 to 1; 0 for a row that is alone in its class or coincides with all others.

    Source: Rousseeuw 1987, J. Comput. Appl. Math. 20, eq. (2), as sklearn.metrics.silhouette_score.
    """
    counts = classes.member.sum(axis=0)
    others = np.where(classes.member, np.inf, classes.sums / counts[None, :])
    own = classes.member @ counts - 1
    a = classes.sums[classes.member] / np.maximum(own, 1)
    b = others.min(axis=1)
    larger = np.maximum(a, b)
    scores = np.divide(b - a, larger, out=np.zeros_like(a), where=(larger > 0) & (own > 0))
    return float(scores.mean())


def class_distances(classes: ClassSums) -> tuple[float, float]:
    """Mean distance over all same-class pairs, and over all different-class pairs.

    Returns:
      (within, between) in the units of the points; within is 0 if every class has one row.
    """
    counts = classes.member.sum(axis=0)
    pairs_within = np.sum(counts * (counts - 1))
    pairs_between = len(classes.sums) ** 2 - np.sum(counts**2)
    within = classes.sums[classes.member].sum()
    return float(within / max(pairs_within, 1)), float((classes.sums.sum() - within) / pairs_between)


def cdnv(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Class-distance normalised variance: the spread within two classes over the distance between their means.

    The mean over all pairs of classes of (v_i + v_j) / (2 |m_i - m_j|²), where v is a class's mean squared
    distance from its mean m. 0 is perfect: each class one point (neural collapse).

    Returns:
      >= 0, dimensionless; infinite where two classes have the same mean.

    Source: Galanti, György & Hutter 2022, definition 1, arXiv:2112.15121.
    """
    means, variances = pairs.moments(points, labels)
    i, j = np.triu_indices(len(means), k=1)
    gaps = np.sum(np.square(means[i] - means[j]), axis=1)
    if not gaps.all():
        return float("inf")
    return float(np.mean((variances[i] + variances[j]) / (2 * gaps)))
