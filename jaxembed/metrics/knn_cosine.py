"""kNN by the cosine, whatever the distance of the embedding: by it, all embeddings are compared alike."""

import numpy as np

from jaxembed.metrics import Column, Measure, Measured, Rows, knn

POSITION = 15
LABELLED = True
COLUMNS = (
    Column(
        "knn_cosine_accuracy",
        label="kNN, cosine %",
        better=1,
        percent=True,
        table="geometry",
        meaning="kNN by the cosine, whatever the distance of the embedding.",
    ),
)


def fit(train: Rows, *, neighbours: int, distance: str) -> Measure:
    """Make the measure; where the distance is the cosine, it is that of `knn`."""
    points, labels = train.points, train.labels

    def measure(rows: Rows) -> Measured:
        if distance == "cosine":
            predicted = rows.predictions["knn"]
        else:
            predicted = knn.classify(points, labels, rows.points, neighbours=neighbours, distance="cosine")
        return Measured({"knn_cosine_accuracy": float(np.mean(predicted == rows.labels))})

    return measure
