"""The accuracy of the classifier that was trained with the encoder; the objective scores it."""

from jaxembed.metrics import Column

POSITION = 40
COLUMNS = (
    Column(
        "accuracy",
        label="own head %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="The classifier trained with the encoder, on an image and its test-time variants.",
    ),
)
