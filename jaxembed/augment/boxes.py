"""Random boxes inside an image."""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxembed.core.bounds import Bound
from jaxembed.core.keys import Key
from jaxembed.types import Image

Side = Int[Array, ""] | int
# A share of an image's area.
Area = Annotated[float, Bound("in (0, 1]", lambda share: 0 < share <= 1)]


def draw(
    key: Key,
    image: Image,
    *,
    area: tuple[float, float],
    ratio: tuple[float, float],
    least: int,
    most: tuple[int, int],
    otherwise: tuple[int, int],
) -> tuple[Side, Side, Side, Side]:
    """Draw a box: (top, left, height, width) of the first of ten that fits, else of a central one.

    Args:
      key: the key that the size and the position are drawn with.
      image: the image that the box is drawn in.
      area: the bounds of the box's share of the image's area.
      ratio: the bounds of the box's width / height.
      least: the least height or width that fits.
      most: the greatest height and width that fit.
      otherwise: the central box's height and width.
    """
    rows, columns, _ = image.shape
    area_key, ratio_key, position_key = jax.random.split(key, 3)
    pixels = rows * columns * jax.random.uniform(area_key, (10,), minval=area[0], maxval=area[1])
    log_ratio = jax.random.uniform(ratio_key, (10,), minval=math.log(ratio[0]), maxval=math.log(ratio[1]))
    heights = jnp.round(jnp.sqrt(pixels / jnp.exp(log_ratio))).astype(int)
    widths = jnp.round(jnp.sqrt(pixels * jnp.exp(log_ratio))).astype(int)
    fits = (least <= heights) & (heights <= most[0]) & (least <= widths) & (widths <= most[1])
    found, first = jnp.any(fits), jnp.argmax(fits)
    height = jnp.where(found, heights[first], otherwise[0])
    width = jnp.where(found, widths[first], otherwise[1])
    # Below 1, so that rounding down gives each position there is.
    down, right = jax.random.uniform(position_key, (2,))
    spare_rows, spare_columns = rows - height, columns - width
    top = jnp.where(found, jnp.floor(down * (spare_rows + 1)).astype(int), spare_rows // 2)
    left = jnp.where(found, jnp.floor(right * (spare_columns + 1)).astype(int), spare_columns // 2)
    return top, left, height, width
