"""The linear probe: a linear classifier trained on the frozen embedding."""

from typing import Any

import numpy as np

from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 20
LABELLED = True
COLUMNS = (
    Column(
        "linear_accuracy",
        label="linear %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="A linear classifier trained on the frozen embedding.",
    ),
)


def fit(train: Rows, *, linear: Any) -> Measure:
    """Train the probe; `linear` are its settings, a `probe.Settings`."""
    from jaxembed.core import keys  # here, because it imports jax

    key, _ = keys.probes()
    return accuracy(key, train, settings=linear, name="linear")


def accuracy(key: Any, train: Rows, *, settings: Any, name: str) -> Measure:
    """Train a probe on the train split and its views; measure `<name>_accuracy`, and return the predictions `name`.

    Args:
      key: a JAX key, as in `probe.fit`.
      train: the embedding of the train split.
      settings: the probe's settings, as in `probe.fit`.
      name: the probe's name.
    """
    from jaxembed.metrics import probe  # here, because it imports jax

    points = train.points if train.augmented is None else train.augmented
    views = len(points) // len(train.labels)
    labels = np.tile(train.labels, views)
    classify = probe.fit(key, points, labels, classes=train.classes, settings=settings, views=views)

    def measure(rows: Rows) -> Measured:
        predicted = classify(rows.points)
        return Measured({f"{name}_accuracy": float(np.mean(predicted == rows.labels))}, {name: predicted})

    return measure
