"""Clusters: whether the groups that an embedding falls into are the classes."""

import warnings

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 62
LABELLED = True
COLUMNS = (
    Column(
        "nmi",
        label="NMI",
        better=1,
        percent=False,
        table="geometry",
        meaning="Information that k-means clusters, as many as classes, share with the classes; 0 to 1.",
    ),
)
# Clusters at most: beyond this k-means takes longer than all other measures together.
MOST = 200


def fit(train: Rows, *, distance: str) -> Measure:
    """Make the measure `nmi`, of splits with up to MOST classes; the train split is not used."""

    def measure(rows: Rows) -> Measured:
        classes = len(np.unique(rows.labels))
        if classes > MOST:
            return Measured({})
        return Measured({"nmi": nmi(space.of(rows.points, distance=distance), rows.labels)})

    return measure


def nmi(points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Normalised mutual information of the classes and equally many clusters, by k-means from one k-means++ start.

    Returns:
      2 I(clusters; classes) / (H(clusters) + H(classes)), 0 to 1; 0 if all points are equal.

    Source: Strehl & Ghosh 2002, JMLR 3, with the arithmetic mean of the entropies, as scikit-learn's.
    """
    # Imported here: scikit-learn takes a second, and reports do without it.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import normalized_mutual_info_score
    from threadpoolctl import threadpool_limits

    if space.are_zero(points):
        return 0.0
    # float64, because k-means subtracts squares, about the mean of all points: that may be far from most of them.
    points = points / np.abs(points).max().astype(np.float64)
    count = min(len(np.unique(labels)), len(np.unique(points, axis=0)))
    # One thread: several wait for each other by spinning, and add up in an order of their own.
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        # Fewer clusters than asked for are a result, as where one point is too far away for float64.
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = KMeans(count, n_init=1, max_iter=50, random_state=0).fit_predict(points)
    return float(normalized_mutual_info_score(labels, clusters))
