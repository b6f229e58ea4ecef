"""Pictures: anything that Pillow reads becomes uint8 pixels of one size, the same way for training and for use."""

import contextlib
import functools
import io
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from jaxembed import files
from jaxembed.errors import InputError

Pixels = UInt8[np.ndarray, "h w c"]
# Pillow's modes by number of channels.
MODES = {1: "L", 3: "RGB"}
# Opening one of these runs a program, or only recognises the format.
_UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# A JPEG is decoded at no less than so many times the wanted size: a large photo five times as fast.
_REDUCED_TO = 4
_AT_ONCE = 512


class Shape(NamedTuple):
    """What pictures are brought to: height and width in pixels, and 1 channel (grey) or 3 (colour)."""

    height: int
    width: int
    channels: int


class Bad(NamedTuple):
    """A file that is no usable picture, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        """Report it in one line."""
        return f"{files.printable(self.file)} is skipped: {files.printable(self.reason)}"


def fit(picture: Image.Image, shape: Shape) -> Pixels:
    """Bring a picture to a shape: upright, on white where it is transparent, 8 bits, resized and cropped.

    The shorter side is resized, antialiased, and the middle of the longer one is kept; a picture that has the size
    keeps its pixels.

    Args:
      picture: of any format, size and mode; the first frame of an animation.
      shape: of the result.

    Returns:
      uint8 [h, w, c].

    Raises:
      ValueError: if its numbers have no known range, as in a picture of 32-bit floats.
      OSError: if its file is damaged.
    """
    wanted = (shape.width, shape.height)
    if picture.format == "JPEG":
        picture.draft(None, (_REDUCED_TO * max(wanted), _REDUCED_TO * max(wanted)))
    picture = _opaque(ImageOps.exif_transpose(picture)).convert(MODES[shape.channels])
    if picture.size != wanted:
        picture = ImageOps.fit(picture, wanted, Image.Resampling.BICUBIC)
    return np.asarray(picture).reshape(shape)


def read(file: Path, shape: Shape) -> Pixels:
    """Read a picture file and bring it to a shape, as `fit`.

    Raises:
      InputError: if it cannot be read; the message names the file.
    """
    result = _read(file, shape)
    if isinstance(result, Bad):
        raise InputError(f"{file} cannot be read as an image: {result.reason}")
    return result


def whole(file: Path | io.BytesIO) -> Image.Image:
    """Open a picture at its own size, upright and in colour, to be shown; errors are Pillow's."""
    with Image.open(file) as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")


def stream(files: Iterable[Path], shape: Shape) -> Iterator[tuple[Path, Pixels | Bad]]:
    """Read picture files with all cores, in order, a few hundred at a time: (file, its pixels or why it is bad)."""
    # Threads: Pillow decodes and resizes without holding Python's lock.
    with _large_allowed(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        files = iter(files)
        while batch := list(itertools.islice(files, _AT_ONCE)):
            yield from zip(batch, pool.map(lambda file: _read(file, shape), batch), strict=True)


def array(image: np.ndarray) -> Image.Image:
    """Turn uint8 pixels [h, w, c], of 1, 3 or 4 channels, into a picture."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that are read: `.jpg`, `.png` and so on."""
    readable = _formats()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return sorted(set(Image.OPEN) - _UNREADABLE)


def _read(file: Path, shape: Shape) -> Pixels | Bad:
    try:
        if not file.stat().st_size:
            return Bad(str(file), "it is empty")
        with Image.open(file, formats=_formats()) as picture:
            return fit(picture, shape)
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        return Bad(str(file), "it is not in an image format that Pillow reads")
    except Exception as error:  # a damaged file can raise anything
        # Pillow names the file, which the caller does as well.
        reason = " ".join(str(error).split()) or type(error).__name__
        return Bad(str(file), reason)


def _opaque(picture: Image.Image) -> Image.Image:
    """Put a picture on white where it is transparent, and its numbers into 8 bits."""
    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _to_8_bits(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        transparent = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), transparent)
    return picture


def _to_8_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError("its pixels are floating-point numbers without a known range")
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its pixels have more than 16 bits, from {values.min()} to {values.max()}")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


@contextlib.contextmanager
def _large_allowed() -> Iterator[None]:
    """Read pictures of up to 179 million pixels without a warning; beyond that Pillow raises an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
