"""Geometry: how the classes lie in an embedding, measured on its points with no classifier in between."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import pairs

# Rows of which a copy in float64 is held at a time.
CHUNK = 4096


def measure(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], *, distance: str
) -> dict[str, float]:
    """Measure everything here: name -> number.

    `silhouette`, the distances and `cdnv` are taken in the space that `distance` asks for (`pairs.space`),
    where the nearest neighbours are looked for too; `alignment`, `uniformity` and `dimension_spread` on the unit
    sphere, as they are defined; `rankme` on the embeddings as they are.

    Args:
      embeddings: [n, d] float.
      labels: [n] int, of at least two classes.
      distance: "cosine" or "euclidean".

    Raises:
      ValueError: if a number is not finite, or there is one class alone.
    """
    points = pairs.space(embeddings, distance=distance)
    sums = class_sums(points, labels)
    within, between = class_distances(sums)
    measures = {
        "silhouette": silhouette(sums),
        "within_distance": within,
        "between_distance": between,
        "distance_ratio": within / between if between else 1.0,
        "cdnv": cdnv(points, labels),
    }
    del points, sums  # of many rows there is no room for two spaces at a time
    return measures | {
        "alignment": alignment(embeddings, labels),
        "uniformity": uniformity(embeddings),
        "rankme": rankme(embeddings),
        "dimension_spread": dimension_spread(embeddings),
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
      ValueError: if there is one class alone: then nothing lies between classes.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(f"the geometry of classes needs at least 2, got {len(present)}")
    member = labels[:, None] == present[None, :]
    columns = member.astype(np.float32)
    sums = [np.sqrt(squared) @ columns for _, squared in pairs.squared_distances(points)]
    return ClassSums(np.concatenate(sums).astype(np.float64), member)


def silhouette(classes: ClassSums) -> float:
    """Mean over the rows of (b - a) / max(a, b): how much nearer a row is to its own class than to the next.

    a is its mean distance to the others of its class, b the least mean distance to another class.

    Returns:
      -1 to 1; 0 for a row that is alone in its class or lies on all others.

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
    """Mean distance over all pairs of one class, and over all pairs of different classes.

    Returns:
      (within, between) in the units of the points; within is 0 if every class has one row.
    """
    counts = classes.member.sum(axis=0)
    pairs_within = np.sum(counts * (counts - 1))
    pairs_between = len(classes.sums) ** 2 - np.sum(counts**2)
    within = classes.sums[classes.member].sum()
    return float(within / max(pairs_within, 1)), float((classes.sums.sum() - within) / pairs_between)


def cdnv(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Class-distance normalised variance: the spread inside two classes by the distance between their means.

    The mean over all pairs of classes of (v_i + v_j) / (2 |m_i - m_j|²), where v is a class's mean squared
    distance from its mean m. 0 is perfect: each class one point (neural collapse).

    Returns:
      >= 0, dimensionless; infinite where two classes have one mean.

    Source: Galanti, György & Hutter 2022, definition 1, arXiv:2112.15121.
    """
    means, variances = _moments(points, labels)
    i, j = np.triu_indices(len(means), k=1)
    gaps = np.sum(np.square(means[i] - means[j]), axis=1)
    if not gaps.all():
        return float("inf")
    return float(np.mean((variances[i] + variances[j]) / (2 * gaps)))


def alignment(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean squared distance on the unit sphere between two rows of one class: 0 if a class is one point.

    Differs from the source in what a positive pair is, there two views of one image: an encoder that was
    never shown two views is to be measured too, by the same pairs as all others.

    Returns:
      0 to 4; 0 if every class has one row.

    Source: Wang & Isola 2020, section 4.1 with alpha = 2, arXiv:2005.10242.
    """
    directions = pairs.directions(embeddings)
    _, variances = _moments(directions, labels)
    counts = np.unique(labels, return_counts=True)[1]
    # The ordered pairs of n rows have a sum of squared distances of 2 n² v.
    return float(2 * np.sum(counts**2 * variances) / max(np.sum(counts * (counts - 1)), 1))


def uniformity(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Log of the mean of exp(-2 |x - y|²) over all pairs on the unit sphere: low if directions fill it.

    Returns:
      nats, -4 in the limit of many dimensions and rows at right angles, 0 if all rows point one way.

    Raises:
      ValueError: if there are fewer than two rows.

    Source: Wang & Isola 2020, section 4.1 with t = 2, arXiv:2005.10242.
    """
    n = len(embeddings)
    if n < 2:
        raise ValueError(f"uniformity needs at least 2 rows, got {n}")
    points = pairs.space(embeddings, distance="cosine")
    total = sum(np.exp(-2 * squared).sum(dtype=np.float64) for _, squared in pairs.squared_distances(points))
    # Each row is at 0 from itself, and no pair: n ones too many.
    return float(np.log((total - n) / (n * (n - 1))))


def rankme(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Effective rank: exp of the entropy of the singular values' shares, how many dimensions are used.

    Comparable between runs of one method alone.

    Returns:
      1 to min(n, d); 0 for embeddings that are all 0.

    Source: Garrido et al. 2023, eq. (1) with epsilon 1e-7, arXiv:2210.02885. The singular values are the roots
    of the eigenvalues of the [d, d] Gram matrix in float64, so that no copy of the rows is needed.
    """
    _, d = embeddings.shape
    gram = np.zeros((d, d))
    for start in range(0, len(embeddings), CHUNK):
        rows = embeddings[start : start + CHUNK].astype(np.float64)
        gram += rows.T @ rows
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))[-len(embeddings) :]
    if not values.any():
        return 0.0
    shares = values / values.sum() + 1e-7
    return float(np.exp(-np.sum(shares * np.log(shares))))


def dimension_spread(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Standard deviation of a dimension over rows of unit length, times √d, averaged over the dimensions.

    Returns:
      1 if directions fill the sphere evenly, 0 if all rows point one way (collapse).

    Source: Chen & He 2021, section 4.1, arXiv:2011.10566, where it is compared with 1/√d.
    """
    first, sums, squares = pairs.directions(embeddings[:1]), 0.0, 0.0
    for start in range(0, len(embeddings), CHUNK):
        # From the first row, which is exact for equal rows where a mean is not.
        rows = (pairs.directions(embeddings[start : start + CHUNK]) - first).astype(np.float64)
        sums, squares = sums + rows.sum(axis=0), squares + np.square(rows).sum(axis=0)
    n, d = embeddings.shape
    return float(np.sqrt(d) * np.sqrt(squares / n - np.square(sums / n)).mean())


def _moments(
    points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Each class's mean, and its mean squared distance from it, in float64."""
    present, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means, variances = np.zeros((len(present), points.shape[1])), np.zeros(len(present))
    chunks = [slice(start, start + CHUNK) for start in range(0, len(points), CHUNK)]
    for chunk in chunks:
        means += (labels[chunk][None, :] == present[:, None]) @ points[chunk].astype(np.float64)
    means /= counts[:, None]
    for chunk in chunks:
        apart = np.square(points[chunk] - means[place[chunk]]).sum(axis=1)
        variances += np.bincount(place[chunk], apart, len(present))
    return means, variances / counts
