"""Pixels: the images themselves."""

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed.controls import Embed

SMALLEST = dict()


def fit(images: UInt8[np.ndarray, "n h w c"], seed: int) -> Embed:
    """Return `flattened`; there is nothing to learn."""
    return flattened


def flattened(images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
    """Write each image as one row of numbers in [0, 1]: d = h·w·c."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
