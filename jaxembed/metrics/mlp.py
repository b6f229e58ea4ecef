"""The MLP probe: a classifier with hidden layers trained on the frozen embedding."""

from typing import Any

from jaxembed.metrics import Column, Measure, Rows, linear

POSITION = 30
LABELLED = True
COLUMNS = (
    Column(
        "mlp_accuracy",
        label="MLP %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="A classifier with hidden layers on the frozen embedding.",
    ),
)


def fit(train: Rows, *, mlp: Any) -> Measure:
    """Train the probe; `mlp` are its settings, a `probe.Settings`."""
    from jaxembed.core import keys  # here, because it imports jax

    _, key = keys.probes()
    return linear.accuracy(key, train, settings=mlp, name="mlp")
