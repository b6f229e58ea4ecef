"""RankMe: how many dimensions an embedding uses."""

import numpy as np
from jaxtyping import Float

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 75
COLUMNS = (
    Column(
        "rankme",
        label="RankMe",
        better=0,
        percent=False,
        table="geometry",
        meaning="Dimensions in use; comparable only within the same way of learning.",
    ),
)


def fit(train: Rows) -> Measure:
    """Make the measure `rankme`; the train split is not used."""
    return lambda rows: Measured({"rankme": rankme(rows.points)})


def rankme(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Effective rank: exp of the entropy of the singular values' shares, the number of dimensions in use.

    Comparable only between runs of the same method.

    Returns:
      1 to min(n, d); 0 for embeddings that are all within pairs.SMALLEST of 0.

    Source: Garrido et al. 2023, eq. (1) with epsilon 1e-7, arXiv:2210.02885. The singular values are the roots
    of the eigenvalues of the [d, d] Gram matrix in float64, so that no copy of the rows is needed.
    """
    if space.are_zero(embeddings):
        return 0.0
    _, d = embeddings.shape
    gram = np.zeros((d, d))
    for start in range(0, len(embeddings), space.CHUNK):
        rows = embeddings[start : start + space.CHUNK].astype(np.float64)
        gram += rows.T @ rows
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))[-len(embeddings) :]
    shares = values / values.sum() + 1e-7
    return float(np.exp(-np.sum(shares * np.log(shares))))
