"""Likeness: whether two images show the same thing, by their pixels."""

import numpy as np
from jaxtyping import Float, UInt8

# Images are compared at this size at most, and moved by this many of those pixels.
SIDE, SHIFT = 32, 2
# Deviations of grey below this are those of a flat image; a part must have this share of its image's variance.
_FLAT, _LEAST = 1.0, 0.25


def of_pairs(first: UInt8[np.ndarray, "n h w c"], second: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, " n"]:
    """Correlate the grey values of two images, moved against each other by up to SHIFT pixels, as is best.

    Brightness and contrast do not matter, and neither does a border that only one of the images shows.

    Returns:
      [n] the largest normalised cross-correlation, -1 to 1: 1 for a copy, moved, brighter or not. Two flat images
      have 1, and one that is flat has 0 with one that is not.

    Source: Lewis 1995, Fast Normalized Cross-Correlation, eq. (2), computed as it is written.
    """
    first, second = _grey(first), _grey(second)
    variances = _variance(first), _variance(second)
    largest = np.max(
        [
            _correlation(_moved(first, down, right), _moved(second, -down, -right), variances)
            for down in range(-SHIFT, SHIFT + 1)
            for right in range(-SHIFT, SHIFT + 1)
        ],
        axis=0,
    )
    flat = [variance < _FLAT**2 for variance in variances]
    return np.where(flat[0] | flat[1], (flat[0] & flat[1]).astype(float), largest)


def _grey(images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n y x"]:
    """Average over the channels, and over squares of pixels where an image is larger than SIDE."""
    n, height, width, _ = images.shape
    square = -(-max(height, width) // SIDE)
    square = min(square, height, width)
    rows, columns = height // square, width // square
    cut = images[:, : rows * square, : columns * square].reshape(n, rows, square, columns, square, -1)
    return cut.mean(axis=(2, 4, 5), dtype=np.float32)


def _moved(images: Float[np.ndarray, "n y x"], down: int, right: int) -> Float[np.ndarray, "n y2 x2"]:
    """Leave out the first rows and columns, or for a negative number the last ones."""
    _, height, width = images.shape
    rows = slice(max(down, 0), height + min(down, 0))
    return images[:, rows, max(right, 0) : width + min(right, 0)]


def _correlation(
    first: Float[np.ndarray, "n y x"],
    second: Float[np.ndarray, "n y x"],
    variances: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
) -> Float[np.ndarray, " n"]:
    """Correlate parts of images; -1 where a part does not show enough of what varies in its whole image."""
    if not first[:1].size:
        return np.full(len(first), -1.0)
    first, second = (each - each.mean(axis=(1, 2), keepdims=True) for each in (first, second))
    parts = _variance(first), _variance(second)
    shown = [part >= np.maximum(_LEAST * whole, _FLAT**2) for part, whole in zip(parts, variances, strict=True)]
    product = np.mean(first * second, axis=(1, 2))
    return np.where(shown[0] & shown[1], product / np.sqrt(np.maximum(parts[0] * parts[1], _FLAT**4)), -1.0)


def _variance(images: Float[np.ndarray, "n y x"]) -> Float[np.ndarray, " n"]:
    return images.var(axis=(1, 2))
