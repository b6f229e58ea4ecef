"""Pictures: convert any file that Pillow can read to uint8 pixels of one size, identically for training and use."""

import base64
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

from jaxembed.core import files
from jaxembed.core.errors import InputError

Pixels = UInt8[np.ndarray, "h w c"]
# Pillow's modes by number of channels.
MODES = {1: "L", 3: "RGB"}
# Pillow starts an external program to open these, opens what they hold as any format, or only identifies them.
_EXCLUDED_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# JPEGs are decoded at a reduced size, at least this many times the target: 5x faster for large photos.
_DRAFT_SCALE = 4
_AT_ONCE = 512


class Shape(NamedTuple):
    """The shape of the converted pixels: height and width in pixels, and 1 (grey) or 3 (RGB) channels."""

    height: int
    width: int
    channels: int


class Unreadable(NamedTuple):
    """A file that cannot be read as a picture, and the reason."""

    file: str
    reason: str

    def __str__(self) -> str:
        """Format a one-line warning."""
        return f"skipping {files.printable(self.file)}: {files.printable(self.reason)}"


def to_pixels(picture: Image.Image, shape: Shape) -> Pixels:
    """Convert a picture to uint8 pixels: apply EXIF orientation, composite onto white, convert to 8 bits, resize
    and centre-crop.

    The picture is resized with antialiasing until it just covers the target, and the middle of the longer side is
    kept. A picture that already has the target size is not resampled.

    Args:
      picture: a picture of any format, size and mode; only the first frame of an animation is used.
      shape: the shape of the result.

    Returns:
      uint8 [h, w, c].

    Raises:
      ValueError: if the pixel values have no defined range (floating point) or exceed 16 bits.
      OSError: if the file is damaged.
    """
    size = (shape.width, shape.height)
    if picture.format == "JPEG":
        picture.draft(None, (_DRAFT_SCALE * max(size), _DRAFT_SCALE * max(size)))
    picture = _flatten(ImageOps.exif_transpose(picture)).convert(MODES[shape.channels])
    if picture.size != size:
        picture = ImageOps.fit(picture, size, Image.Resampling.BICUBIC)
    return np.asarray(picture).reshape(shape)


def read(file: Path, shape: Shape) -> Pixels:
    """Read a picture file and convert it with `to_pixels`.

    Raises:
      InputError: if the file cannot be read; the message names the file.
    """
    result = _read(file, shape)
    if isinstance(result, Unreadable):
        raise InputError(f"{file} cannot be read as an image: {result.reason}")
    return result


def opened(file: Path | io.BufferedIOBase) -> Image.Image:
    """Open a picture, which is not decoded yet; the only way in for a file that somebody else may have made.

    Raises:
      OSError: and Pillow's other errors, if it has none of the formats that are read, or cannot be read.
    """
    return Image.open(file, formats=_formats())


def open_rgb(file: Path | io.BufferedIOBase) -> Image.Image:
    """Open a picture for display: full size, converted to RGB as `to_pixels` does; raises Pillow's own errors."""
    with opened(file) as picture:
        return _flatten(ImageOps.exif_transpose(picture)).convert("RGB")


def stream(paths: Iterable[Path], shape: Shape) -> Iterator[tuple[Path, Pixels | Unreadable]]:
    """Read picture files on all cores, a few hundred at a time; yield (file, pixels or Unreadable) in order."""
    # Threads are enough: Pillow releases the GIL while it decodes and resizes.
    with _allow_large_images(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        paths = iter(paths)
        while batch := list(itertools.islice(paths, _AT_ONCE)):
            yield from zip(batch, pool.map(lambda file: _read(file, shape), batch), strict=True)


def from_array(image: np.ndarray) -> Image.Image:
    """Convert uint8 pixels [h, w, c], with 1, 3 or 4 channels, to a picture."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


@functools.cache
def extensions() -> frozenset[str]:
    """Return the file extensions of the readable formats: `.jpg`, `.png` and so on."""
    readable = _formats()
    return frozenset(each for each, name in Image.registered_extensions().items() if name in readable)


@functools.cache
def _formats() -> list[str]:
    Image.init()
    return sorted(set(Image.OPEN) - _EXCLUDED_FORMATS)


def _read(file: Path, shape: Shape) -> Pixels | Unreadable:
    try:
        if not file.stat().st_size:
            return Unreadable(str(file), "empty file")
        with opened(file) as picture:
            return to_pixels(picture, shape)
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        return Unreadable(str(file), "not an image format Pillow can read")
    except Exception as error:  # a damaged file can raise anything
        # Pillow's messages can span several lines.
        reason = " ".join(str(error).split()) or type(error).__name__
        return Unreadable(str(file), reason)


def _flatten(picture: Image.Image) -> Image.Image:
    """Composite a transparent picture onto white, and convert 16-bit pixels to 8 bits."""
    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _to_8_bits(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        transparent = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), transparent)
    return picture


def _to_8_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError("floating-point pixels have no defined range")
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"pixel values must be in 0..65535, got {values.min()} to {values.max()}")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


@contextlib.contextmanager
def _allow_large_images() -> Iterator[None]:
    """Silence Pillow's warning about pictures of up to 179 million pixels; above that it raises an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def as_webp(picture: Image.Image, *, quality: int) -> bytes:
    """Write a picture as the content of a WebP file; `quality` is 0 to 100."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return file.getvalue()


def as_uri(picture: Image.Image, *, quality: int) -> str:
    """Write a picture as the URI of a WebP file; `quality` is 0 to 100."""
    return "data:image/webp;base64," + base64.b64encode(as_webp(picture, quality=quality)).decode()
