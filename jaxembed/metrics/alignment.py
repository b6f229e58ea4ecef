"""Class alignment: how close the embeddings of a class are to each other on the unit sphere."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 70
LABELLED = True
COLUMNS = (
    Column(
        "alignment",
        label="class alignment",
        better=0,
        percent=False,
        table="geometry",
        meaning="Mean squared distance within a class, on the unit sphere; also 0 after a collapse.",
    ),
)


def fit(train: Rows) -> Measure:
    """Make the measure `alignment`; the train split is not used."""
    return lambda rows: Measured({"alignment": alignment(rows.points, rows.labels)})


def alignment(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
    """Compute the mean squared distance between two rows in the same class on the unit sphere.

    The positive pairs here are images of the same class; in the paper they are two views of one image, as in
    `views.alignment`. This way, encoders that never saw two views in training are measured on the same pairs as all
    others.

    Returns:
      0 to 4; 0 if each class is a single point, or has a single row.

    Source: Wang & Isola 2020, section 4.1 with alpha = 2, arXiv:2005.10242.
    """
    directions = space.directions(embeddings)
    _, variances = space.moments(directions, labels)
    counts = np.unique(labels, return_counts=True)[1]
    # The ordered pairs of n rows have a sum of squared distances of 2 n² v.
    return float(2 * np.sum(counts**2 * variances) / max(np.sum(counts * (counts - 1)), 1))
