"""The error of an autoencoder's reconstructions; the objective scores it."""

from jaxembed.metrics import Column

POSITION = 90
COLUMNS = (
    Column(
        "l1",
        label="L1",
        better=-1,
        percent=False,
        table="geometry",
        meaning="Mean absolute error of the reconstructions.",
    ),
)
