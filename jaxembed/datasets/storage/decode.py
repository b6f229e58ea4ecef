"""Lossless decoding: a record's image as uint8 pixels, or an error where that would change what it shows."""

import io

import numpy as np
from PIL import Image

from jaxembed.pictures import MODES, Pixels

# What TFDS and TensorFlow decode.
FORMATS = ("PNG", "JPEG", "GIF", "BMP")
# Modes that show the same colours in RGB.
_CONVERTIBLE = ("1", "L", "P", "RGB")
_SIXTEEN_BITS = {"I;16B": "grey", "LA;16B": "grey", "RGB;16B": "RGB", "RGBA;16B": "RGBA"}


def decode(encoded: bytes, shape: tuple[int, ...]) -> Pixels:
    """Decode an image to uint8 pixels of one shape.

    What can be converted without loss is: a palette; grey to RGB, and RGB to grey if it has no colour; an opaque
    alpha channel; 16 bits to 8 if all values are multiples of 257, as those are that once had 8.

    Args:
      encoded: a file in one of FORMATS.
      shape: (h, w, c) with 1 channel (grey) or 3 (RGB).

    Returns:
      uint8 [h, w, c].

    Raises:
      ValueError: if the image has another shape, or can only be converted with loss.
      OSError: if it is damaged.
    """
    try:
        picture = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"must be one of {', '.join(FORMATS)}, got {len(encoded)} bytes of none") from error
    # Not reshaped to `shape`, because a transposed image must be an error; nor may a single row be broadcast.
    if (picture.height, picture.width) != tuple(shape[:2]):
        raise ValueError(f"must be {shape[0]}×{shape[1]}, got {picture.height}×{picture.width}")
    if getattr(picture, "n_frames", 1) > 1:
        raise ValueError(f"must be a single picture, got {picture.n_frames} frames")
    raw = picture.tile[0].args if picture.tile else None
    if raw in _SIXTEEN_BITS:
        picture = _halved(encoded, picture, raw)
    if picture.mode != MODES[shape[-1]] or "transparency" in picture.info:
        picture = _converted(picture, MODES[shape[-1]])
    return np.asarray(picture).reshape(shape)


def _halved(encoded: bytes, picture: Image.Image, raw: str) -> Image.Image:
    """Convert 16-bit values to 8 bits."""
    if raw == "LA;16B" or "transparency" in picture.info:
        raise ValueError(f"must have 8 bits a channel, got 16-bit {_SIXTEEN_BITS[raw]} with transparency")
    if raw == "I;16B":
        values = np.asarray(picture)
        high, low = (values >> 8).astype(np.uint8), (values & 255).astype(np.uint8)
    else:
        # Pillow keeps the first byte of each value; told that values start with the low byte, it keeps the other.
        second = Image.open(io.BytesIO(encoded), formats=FORMATS)
        second.tile = [tile._replace(args=raw.replace("16B", "16L")) for tile in second.tile]
        high, low = np.asarray(picture), np.asarray(second)
    # 257 v is v in both bytes.
    if (high != low).any():
        raise ValueError(f"must have 8 bits a channel, got 16-bit {_SIXTEEN_BITS[raw]} that 8 bits cannot hold")
    return Image.fromarray(high)


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to grey or RGB."""
    given = picture.mode
    if "A" in given or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema()[0] < 255:
            raise ValueError(f"must be {mode}, got {given} with transparent pixels")
        picture = picture.convert("RGB")
    if picture.mode not in _CONVERTIBLE:
        raise ValueError(f"must be {mode}, got {given}")
    picture = picture.convert("RGB")
    if mode == "RGB":
        return picture
    red, green, blue = map(np.asarray, picture.split())
    if (red != green).any() or (green != blue).any():
        raise ValueError(f"must be grey, got {given} with colours")
    return Image.fromarray(red)
