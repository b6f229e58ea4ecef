"""Overlap: how far the distances between images in the same class and in different classes can be told apart."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import space
from jaxembed.metrics import Column

POSITION = 65
COLUMNS = (
    Column(
        "distance_overlap",
        label="overlap %",
        better=-1,
        percent=True,
        table="geometry",
        meaning="Area shared by the distributions of same-class and different-class distances.",
    ),
)
BINS = 100


def histogram(
    squared: Float[np.ndarray, "n n"], labels: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Bin the distances of all pairs of rows.

    Args:
      squared: [n, n] squared distances.
      labels: [n] int.
    Returns:
      (edges [BINS + 1], shares of the same-class pairs [BINS], shares of the different-class pairs [BINS]).
    """
    first, second = np.triu_indices(len(labels), k=1)
    distances, same = np.sqrt(squared[first, second]), labels[first] == labels[second]
    # Embeddings that are all equal have no scale of their own.
    largest = float(distances.max())
    edges = np.linspace(0, largest if largest > space.SMALLEST else 1, BINS + 1)
    counts = [np.histogram(distances[which], edges)[0] for which in (same, ~same)]
    return edges, *(count / max(count.sum(), 1) for count in counts)


def overlap(same: Float[np.ndarray, " bins"], different: Float[np.ndarray, " bins"]) -> float:
    """Return the area that two histograms of shares have in common: 0 to 1."""
    return float(np.minimum(same, different).sum())
