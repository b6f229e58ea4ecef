"""PCA: the directions in which the train images vary most, each scaled to variance 1 (whitening)."""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed.controls import Embed, pixels
from jaxembed.core.bounds import Width
from jaxembed.core.errors import InputError

SMALLEST = dict(components=3)
# Of the largest variance, and of that of one grey level: a direction with less is rounding, and whitening would
# blow it up.
LEAST, LEVEL = 1e-6, 1 / 255**2


def fit(images: UInt8[np.ndarray, "n h w c"], seed: int, *, components: Width = 64) -> Embed:
    """Find the principal components of the train images' pixels.

    Args:
      images: the train images.
      seed: the seed of the search for them, where there are too many pixels for an exact solution.
      components: how many, which is d.

    Raises:
      InputError: if there are more than pixels, or than images less one.
    """
    from sklearn.decomposition import PCA  # here, because it takes a second, and other controls do without it

    rows = pixels.flattened(images)
    if components > (most := min(len(rows) - 1, rows.shape[1])):
        raise InputError(
            f"pca.components must be at most {most}, for {len(rows)} train images of {rows.shape[1]} pixels, "
            f"got {components}"
        )
    with np.errstate(invalid="ignore", divide="ignore"):  # shares of no variance, which are not used
        fitted = PCA(components, random_state=seed).fit(rows)
    return partial(embed, fitted)


def embed(pca: Any, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
    """Project images on the components and divide by their deviations; 0 where the train images do not vary."""
    variances = pca.explained_variance_
    varies = variances > LEAST * max(variances.max(), LEVEL)
    scales = np.where(varies, np.sqrt(np.where(varies, variances, 1)), np.inf)
    return (pca.transform(pixels.flattened(images)) / scales).astype(np.float32)
