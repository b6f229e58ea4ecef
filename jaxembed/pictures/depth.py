"""Depth: pictures whose values have more than 8 bits, or are floating-point, become 8 bits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

# A TIFF's tags: the bits of a value, whether 0 is white, whether values are signed, the smallest and the largest.
_BITS, _WHITE_IS_ZERO, _FORMAT = 258, 262, 339
# How channels are stored, and one after another instead of together.
_PLANAR, _APART = 284, 2
_RANGES = ((340, 341), (280, 281))
_SIGNED = 2
_LARGEST = 65535


class Scale(NamedTuple):
    """How the values of a picture become 0 to 255.

    Attributes:
      black: the value that becomes 0.
      white: the value that becomes 255.
      dark: how many bits are used, such as "12 of 16 bits", if so few that the picture is nearly black.
    """

    black: float
    white: float
    dark: str


def scale(picture: Image.Image) -> Scale | None:
    """Find the scale of a picture that has just been opened; None if its values have 8 bits.

    The range that a TIFF states is used if all values are inside it. Otherwise it is that of the bits of a value.

    Raises:
      ValueError: if there is no range: floating-point values without a stated one, or those below 0 or above 65535.
    """
    if not (picture.mode in ("F", "I") or picture.mode.startswith("I;16")):
        return None
    tags, values = getattr(picture, "tag_v2", {}), np.asarray(picture)
    low, high = values.min(), values.max()
    black, white, dark = 0.0, _largest(tags), ""
    stated = _stated(tags)
    if stated and stated[0] <= low and high <= stated[1]:
        black, white = stated
    elif not np.issubdtype(values.dtype, np.integer):
        raise ValueError("floating-point pixels have no defined range")
    elif low < 0 or high > _LARGEST:
        raise ValueError(f"pixel values must be in 0..{_LARGEST}, got {low} to {high}")
    else:
        white = max(white, float(high))
        dark = _dark(int(high), int(white).bit_length())
    return Scale(white, black, dark) if tags.get(_WHITE_IS_ZERO) == 0 else Scale(black, white, dark)


def mend(picture: Image.Image) -> None:
    """Correct how a picture that has just been opened is read.

    Pillow reads an uncompressed TIFF whose channels of 16 bits are stored one after another as if they had 8.
    """
    tags = getattr(picture, "tag_v2", {})
    if tags.get(_PLANAR) == _APART and set(tags.get(_BITS, ())) == {16} and picture.tile[0].codec_name == "raw":
        order = "L" if tags.prefix == b"II" else "B"
        picture.tile = [tile._replace(args=(f"{tile.args[0]};16{order}", *tile.args[1:])) for tile in picture.tile]


def to_8_bits(picture: Image.Image, scale: Scale) -> Image.Image:
    """Convert a picture's values by its scale."""
    step = (scale.white - scale.black) / 255
    return Image.fromarray(np.rint((np.asarray(picture) - scale.black) / step).astype(np.uint8))


def dark_colours(picture: Image.Image) -> str:
    """Return `Scale.dark` for an opened picture in colour, of which Pillow keeps only the upper 8 of 16 bits."""
    if picture.mode not in ("LA", "RGB", "RGBA") or ";16" not in str(getattr(picture, "tile", "")):
        return ""
    high = max(high for _, high in picture.convert("RGB").getextrema())
    return _dark(256 * high + 255, 16)


def _dark(high: int, bits: int) -> str:
    """Return how many bits the largest value has, if it is below a quarter of the range, and not 0."""
    return f"{high.bit_length()} of {bits} bits" if 0 < high < 2 ** (bits - 2) else ""


def _stated(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    for least, most in _RANGES:
        low, high = _number(tags.get(least, 0)), _number(tags.get(most))
        if low is not None and high is not None and low < high:
            return low, high
    return None


def _largest(tags: Mapping[int, Any]) -> float:
    """Return the largest value of a TIFF's bits; other formats with more than 8 bits are read as 16."""
    bits = _number(tags.get(_BITS, 16)) or 16
    return min(2.0 ** (bits - (_number(tags.get(_FORMAT)) == _SIGNED)) - 1, float(_LARGEST))


def _number(tag: Any) -> float | None:
    """Return the number in a tag, the first if it has one for each channel; None if it has none that is finite."""
    try:
        number = float(tag[0] if isinstance(tag, tuple) else tag)
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None
