"""Histogram: which colours there are in an image, wherever they are; for photographs, of one scene for example."""

from functools import partial
from typing import Annotated

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed.controls import Embed
from jaxembed.core.bounds import within

SMALLEST = dict(bins=4)


def fit(images: UInt8[np.ndarray, "n h w c"], seed: int, *, bins: Annotated[int, within(2, 16)] = 8) -> Embed:
    """Return `counted`; there is nothing to learn.

    Args:
      images: the train images.
      seed: not used.
      bins: the number of bins for each channel; there are bins³ colours, or for grey images bins.
    """
    return partial(counted, bins)


def counted(bins: int, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
    """Take the square root of each colour's share of the pixels: [n, bins**c].

    The vectors have length 1, and their cosine is the Bhattacharyya coefficient of the histograms. If all pixels
    have one colour, there is a single 1; if half have each of two, √½ twice.
    """
    n, *_, channels = images.shape
    levels = images.reshape(n, -1, channels).astype(np.int64) * bins // 256
    colours = levels @ bins ** np.arange(channels)
    return np.sqrt([np.bincount(each, minlength=bins**channels) / len(each) for each in colours]).astype(np.float32)
