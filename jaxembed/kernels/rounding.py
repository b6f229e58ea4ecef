"""Rounding: which distances between rows a matmul in float32 blurs, and what they are."""

import numpy as np
from jaxtyping import Bool, Float

# A squared distance below this share of |x|² + |y|² has lost its digits in |x|² + |y|² - 2 x·y: in float32, that is
# rounded by up to a millionth of the sum.
UNRESOLVED = 1e-5


def by_differences(rows: Float[np.ndarray, "c d"], points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "c n"]:
    """Return squared distances from differences in float64: right for any rows, and slow; equal rows count once."""
    from scipy.spatial import distance  # here, because reports import metrics without it

    different, which = np.unique(rows, axis=0, return_inverse=True)
    return distance.cdist(different, points, "sqeuclidean").astype(np.float32)[which]


def are_unresolved(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Return for each pair of rows whether a matmul in float32 blurs their distance."""
    apart, *lengths = (np.einsum("nd,nd->n", each, each) for each in (first - second, first, second))
    return apart < UNRESOLVED * np.add(*lengths)
