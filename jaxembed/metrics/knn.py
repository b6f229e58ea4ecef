"""k nearest neighbours: what the embedding says about a class before anything is trained on it."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.metrics import Column, Measure, Measured, Rows

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

    points, labels = train.points, train.labels

    def measure(rows: Rows) -> Measured:
        predicted = classify(points, labels, rows.points, neighbours=neighbours, distance=distance)
        return Measured({"knn_accuracy": float(np.mean(predicted == rows.labels))}, {"knn": predicted})

    return measure


def classify(
    train: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    queries: Float[np.ndarray, "n d"],
    *,
    neighbours: int,
    distance: str,
) -> Int[np.ndarray, " n"]:
    """Predict each query's class as the majority of its nearest train rows.

    Votes count equally and a tie goes to the lowest class, as in scikit-learn's KNeighborsClassifier.

    Args:
      train: [m, d] float embeddings.
      labels: [m] int >= 0.
      queries: [n, d] float embeddings.
      neighbours: k, at most m.
      distance: "cosine" (only the angle counts) or "euclidean".

    Returns:
      [n] int, the classes.
    """
    from jaxembed.kernels import nearest  # here, because it imports jax

    voters = np.sort(labels[nearest.find(train, queries, neighbours=neighbours, distance=distance)], axis=1)
    # Sorted, the votes for a class are one run: the longest wins, and the first of equally long ones.
    winners, most, run = voters[:, 0].copy(), np.zeros(len(voters), int), np.zeros(len(voters), int)
    for i in range(voters.shape[1]):
        run = np.where(voters[:, i] == voters[:, i - 1], run, 0) + 1
        longer = run > most
        winners[longer], most[longer] = voters[longer, i], run[longer]
    return winners.astype(int)
