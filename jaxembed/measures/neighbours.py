"""k nearest neighbours: what the embedding says about a class before anything is trained on it."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.measures import Column, Measure, Measured, Rows

POSITION = 10
LABELLED = True
COLUMNS = (
    Column(
        "knn_accuracy",
        label="kNN %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="Majority vote of the nearest train images; no training.",
    ),
)


def fit(train: Rows, *, neighbours: int, distance: str) -> Measure:
    """Make the measure `knn_accuracy`, which also returns the predictions `knn`."""

    points, labels, classes, *_ = train

    def measure(rows: Rows) -> Measured:
        options = dict(neighbours=neighbours, distance=distance, classes=classes)
        predicted = classify(points, labels, rows.points, **options)
        return Measured({"knn_accuracy": float(np.mean(predicted == rows.labels))}, {"knn": predicted})

    return measure


def classify(
    train: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    queries: Float[np.ndarray, "n d"],
    *,
    neighbours: int,
    distance: str,
    classes: int,
) -> Int[np.ndarray, " n"]:
    """Predict each query's class as the majority of its nearest train rows.

    Votes count equally and a tie goes to the lowest class, as in scikit-learn's KNeighborsClassifier.

    Args:
      train: [m, d] float embeddings.
      labels: [m] int in 0..classes-1.
      queries: [n, d] float embeddings.
      neighbours: k, at most m.
      distance: "cosine" (only the angle counts) or "euclidean".
      classes: how many.

    Returns:
      [n] int, the classes.
    """
    from jaxembed.kernels import nearest  # here, because it imports jax

    voters = labels[nearest.find(train, queries, neighbours=neighbours, distance=distance)]
    ballots = np.arange(len(queries))[:, None] * classes + voters
    votes = np.bincount(ballots.ravel(), minlength=len(queries) * classes)
    return np.argmax(votes.reshape(-1, classes), axis=1)
