"""The unit sphere: how an embedding's directions are spread over it, as a whole and within a class."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import pairs
from jaxembed.measures import Column, Measure, Measured, Rows

POSITION = 70
COLUMNS = (
    Column(
        "alignment",
        label="alignment",
        better=0,
        percent=False,
        table="geometry",
        meaning="Mean squared distance within a class, on the unit sphere; also 0 after a collapse.",
    ),
    Column(
        "uniformity",
        label="uniformity",
        better=0,
        percent=False,
        table="geometry",
        meaning="How evenly directions fill the sphere, lower is more; 0 is collapse.",
    ),
    Column(
        "dimension_spread",
        label="spread",
        better=0,
        percent=False,
        table="geometry",
        meaning="Deviation of a dimension; 0 is collapse, 1 an even sphere.",
    ),
)


def fit(train: Rows) -> Measure:
    """Make the measure of a split's directions; the train split is not used."""
    return lambda rows: Measured(measure(rows.points, rows.labels))


def measure(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Measure all columns of embeddings [n, d] with labels [n]."""
    return {
        "alignment": alignment(embeddings, labels),
        "uniformity": uniformity(embeddings),
        "dimension_spread": dimension_spread(embeddings),
    }


def alignment(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean squared distance on the unit sphere between two rows in the same class: 0 if a class is one point.

    Differs from the source in what a positive pair is, there two views of one image: this way an encoder that was
    never trained on two views is measured by the same pairs as all others.

    Returns:
      0 to 4; 0 if every class has one row.

    Source: Wang & Isola 2020, section 4.1 with alpha = 2, arXiv:2005.10242.
    """
    directions = pairs.directions(embeddings)
    _, variances = pairs.moments(directions, labels)
    counts = np.unique(labels, return_counts=True)[1]
    # The ordered pairs of n rows have a sum of squared distances of 2 n² v.
    return float(2 * np.sum(counts**2 * variances) / max(np.sum(counts * (counts - 1)), 1))


def uniformity(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Log of the mean of exp(-2 |x - y|²) over all pairs on the unit sphere: low if directions fill it.

    Returns:
      nats, -4 in the limit of many dimensions and rows at right angles, 0 if all rows point the same way.

    Raises:
      ValueError: if there are fewer than two rows.

    Source: Wang & Isola 2020, section 4.1 with t = 2, arXiv:2005.10242.
    """
    n = len(embeddings)
    if n < 2:
        raise ValueError(f"uniformity needs at least 2 rows, got {n}")
    points = pairs.space(embeddings, distance="cosine")
    total = sum(np.exp(-2 * squared).sum(dtype=np.float64) for _, squared in pairs.squared_distances(points))
    # Each row is at 0 from itself, which is not a pair, so n ones are subtracted.
    return float(np.log((total - n) / (n * (n - 1))))


def dimension_spread(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Standard deviation of a dimension over rows of unit length, times √d, averaged over the dimensions.

    Returns:
      1 if directions fill the sphere evenly, 0 if all rows point the same way (collapse).

    Source: Chen & He 2021, section 4.1, arXiv:2011.10566, where it is compared with 1/√d.
    """
    first, sums, squares = pairs.directions(embeddings[:1]), 0.0, 0.0
    for start in range(0, len(embeddings), pairs.CHUNK):
        # From the first row, which is exact for equal rows where a mean is not.
        rows = (pairs.directions(embeddings[start : start + pairs.CHUNK]) - first).astype(np.float64)
        sums, squares = sums + rows.sum(axis=0), squares + np.square(rows).sum(axis=0)
    n, d = embeddings.shape
    return float(np.sqrt(d) * np.sqrt(squares / n - np.square(sums / n)).mean())
