"""Accuracy class by class: a mean can hide a class that is never recognised."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 35
LABELLED = True
NEEDS = ("knn",)
COLUMNS = (
    Column(
        "balanced_accuracy",
        label="kNN, balanced %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="The kNN classifier's accuracy in each class, averaged over the classes.",
    ),
    Column(
        "worst_class_accuracy",
        label="kNN, worst class %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="The kNN classifier's accuracy in the class where it is lowest.",
    ),
)


def fit(train: Rows) -> Measure:
    """Make the measure, which goes by what the kNN classifier has predicted; the train split is not used."""

    def measure(rows: Rows) -> Measured:
        accuracies = of_classes(rows.labels, rows.predictions["knn"])
        balanced, worst = float(accuracies.mean()), float(accuracies.min())
        return Measured({"balanced_accuracy": balanced, "worst_class_accuracy": worst})

    return measure


def of_classes(labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Return the share of the rows of each class that are predicted right, for the classes that have any."""
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.bincount(class_of, predicted == labels, len(counts)) / counts
