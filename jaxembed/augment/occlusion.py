"""Occlusion: parts of an image that are blacked out."""

import math

import jax
import jax.numpy as jnp

from jaxembed.augment import boxes
from jaxembed.augment.boxes import Area
from jaxembed.core.bounds import Positive, Share
from jaxembed.core.keys import Key
from jaxembed.types import Image


def erase(key: Key, image: Image, *, p: Share, min_area: Area, max_area: Area) -> Image:
    """Black out one random box with probability p.

    Its share of the area is uniform in [min_area, max_area], its log aspect ratio uniform between those of
    0.3 and 3.3, its position uniform. Of ten draws the first smaller than the image is used, else none.

    Source: Zhong et al. 2017, arXiv:1708.04896, as torchvision's RandomErasing with value 0.
    """
    rows, columns, _ = image.shape
    chance_key, box_key = jax.random.split(key)
    # torchvision's ratio is height to width here, width to height in a crop.
    top, left, height, width = boxes.draw(
        box_key,
        image,
        area=(min_area, max_area),
        ratio=(1 / 3.3, 1 / 0.3),
        least=0,
        most=(rows - 1, columns - 1),
        otherwise=(0, 0),
    )
    y, x = jnp.arange(rows)[:, None, None], jnp.arange(columns)[None, :, None]
    inside = (top <= y) & (y < top + height) & (left <= x) & (x < left + width)
    return jnp.where(inside & jax.random.bernoulli(chance_key, p), 0, image)


def mask(key: Key, image: Image, *, fraction: Share, patch: Positive) -> Image:
    """Black out each square of a grid with probability `fraction`.

    The squares' side is `patch` pixels; those at the bottom and on the right may be cut off.
    """
    height, width, _ = image.shape
    patch = min(patch, max(height, width))  # no square is larger than the image
    grid = jax.random.bernoulli(key, fraction, (math.ceil(height / patch), math.ceil(width / patch), 1))
    masked = jnp.repeat(jnp.repeat(grid, patch, axis=0), patch, axis=1)[:height, :width]
    return jnp.where(masked, 0, image)
