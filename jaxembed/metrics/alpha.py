"""α-ReQ: how fast the variance of an embedding falls from its first principal axis to its last."""

import numpy as np
from jaxtyping import Float

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 76
COLUMNS = (
    Column(
        "alpha",
        label="α-ReQ",
        better=0,
        percent=False,
        table="geometry",
        meaning="Exponent with which the variance falls along the principal axes; near 1 is said to be best.",
    ),
)
# Ranks of the eigenvalues that the authors' code fits; the first few are left out where there are enough others.
FIRST, LAST = 4, 100
# Eigenvalues below this share of the largest are rounding.
_NONE = 1e-10


def fit(train: Rows) -> Measure:
    """Make the measure `alpha`; the train split is not used."""
    return lambda rows: Measured({"alpha": alpha(rows.points)})


def alpha(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Fit the power law rank^-α to the eigenvalues of the covariance, by least squares between logarithms, weighted
    by 1 / rank.

    Returns:
      α: 0 if all dimensions vary equally, more the fewer do; infinite if fewer than two do.

    Source: Agrawal et al. 2022, section 3.1, arXiv:2202.05808; the ranks and the weights are those of Stringer et
    al. 2019, whose code the authors use. For fewer than 8 eigenvalues, all of them are fitted.
    """
    if space.are_zero(embeddings):
        return float("inf")
    values = np.linalg.eigvalsh(_covariance(embeddings))[::-1]
    values = values[values > _NONE * values[0]] if values[0] > 0 else values[:0]
    if len(values) < 2:
        return float("inf")
    ranks = np.arange(FIRST if len(values) >= 2 * FIRST else 1, min(LAST, len(values)) + 1)
    x, y = np.log(ranks), np.log(values[ranks - 1])
    weights = 1 / ranks
    x, y = (each - np.average(each, weights=weights) for each in (x, y))
    return float(-np.sum(weights * x * y) / np.sum(weights * x * x))


def _covariance(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    n, d = embeddings.shape
    mean = embeddings.mean(axis=0, keepdims=True, dtype=np.float64)
    # Scaled, so that no square of a large or a small number is lost; α does not depend on it.
    scale = np.abs(embeddings).max()
    covariance = np.zeros((d, d))
    for start in range(0, n, space.CHUNK):
        rows = (embeddings[start : start + space.CHUNK] - mean) / scale
        covariance += rows.T @ rows
    return covariance / n
