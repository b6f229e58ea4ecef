"""The unit sphere: how an embedding's directions are spread over it."""

import numpy as np
from jaxtyping import Float

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 71
COLUMNS = (
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
    return lambda rows: Measured(measure(rows.points))


def measure(embeddings: Float[np.ndarray, "n d"]) -> dict[str, float]:
    """Measure all columns of embeddings [n, d]."""
    return {
        "uniformity": uniformity(embeddings),
        "dimension_spread": dimension_spread(embeddings),
    }


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
    points = space.of(embeddings, distance="cosine")
    total = sum(np.exp(-2 * squared).sum(dtype=np.float64) for _, squared in space.squared_distances(points))
    # Each row is at 0 from itself, which is not a pair, so n ones are subtracted.
    return float(np.log((total - n) / (n * (n - 1))))


def dimension_spread(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Standard deviation of a dimension over rows of unit length, times √d, averaged over the dimensions.

    Returns:
      1 if directions fill the sphere evenly, 0 if all rows point the same way (collapse).

    Source: Chen & He 2021, section 4.1, arXiv:2011.10566, where it is compared with 1/√d.
    """
    first, sums, squares = space.directions(embeddings[:1]), 0.0, 0.0
    for start in range(0, len(embeddings), space.CHUNK):
        # From the first row, which is exact for equal rows where a mean is not.
        rows = (space.directions(embeddings[start : start + space.CHUNK]) - first).astype(np.float64)
        sums, squares = sums + rows.sum(axis=0), squares + np.square(rows).sum(axis=0)
    n, d = embeddings.shape
    return float(np.sqrt(d) * np.sqrt(squares / n - np.square(sums / n)).mean())
