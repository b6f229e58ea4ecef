"""Outliers: images that are far from all others."""

import numpy as np
from jaxtyping import Float


def remoteness(distances: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Return each row's mean distance to its nearest other rows: the larger, the more of an outlier it is.

    Source: Angiulli & Pizzuti 2002, section 2, where the sum of the distances is a point's weight.
    """
    return distances.mean(axis=1)
