"""Alignment: how near to each other the directions of a class are on the unit sphere."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import pairs
from jaxembed.measures import Column, Measure, Measured, Rows

POSITION = 70
LABELLED = True
COLUMNS = (
    Column(
        "alignment",
        label="alignment",
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
    """Mean squared distance on the unit sphere between two rows in the same class: 0 if a class is one point.

    Differs from the source in what a positive pair is, there two views of one image: this way an encoder that was
    never trained on two views is measured by the same pairs as all others.

    Returns:
      0 to 4; 0 if every class has one row.

    Source: Wang & Isola 2020, section 4.1 with alpha = 2, arXiv:2005.10242.
    """
    directions = pairs.directions(embeddings)
    _, variances = pairs.moments(directions, labels)
    counts = np.unique(labels, return_counts=True)[1]
    # The ordered pairs of n rows have a sum of squared distances of 2 n² v.
    return float(2 * np.sum(counts**2 * variances) / max(np.sum(counts * (counts - 1)), 1))
