"""Pictures: convert any file that Pillow can read to uint8 pixels of one size, identically for training and use."""

import base64
import collections
import contextlib
import io
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.pictures import depth, kinds

Pixels = UInt8[np.ndarray, "h w c"]
# Pillow's modes by number of channels.
MODES = {1: "L", 3: "RGB"}
# JPEGs are decoded at a reduced size, at least this many times the target: 5x faster for large photos.
_DRAFT_SCALE = 4
# EXIF orientations other than upright.
_TURNED = range(2, 9)
# Pictures that are decoded before they are asked for, at most, and the bytes of their pixels.
_AHEAD, _AHEAD_BYTES = 2048, 2**27
# Pixels of the longer side of a thumbnail.
THUMBNAIL = 96
# Dark pictures that are named.
_SHOWN = 5


class Shape(NamedTuple):
    """The shape of the converted pixels: height and width in pixels, and 1 (grey) or 3 (RGB) channels."""

    height: int
    width: int
    channels: int


class Preparation(NamedTuple):
    """How a picture becomes an encoder's pixels.

    Attributes:
      shape: the shape of the pixels, which are cut out of the middle of the resized picture.
      side: pixels to which the picture's shorter side is resized, at least the shape's; 0 for the fewest that cover
        the shape.
      interpolation: "bicubic" or "bilinear"; always with antialiasing.
      stretched: whether both sides are resized to the shape's instead, which may change the proportions.
    """

    shape: Shape
    side: int = 0
    interpolation: str = "bicubic"
    stretched: bool = False


class Converted(NamedTuple):
    """The pixels of a picture; and if it is nearly black, how few bits it uses, such as "12 of 16 bits"."""

    pixels: Pixels
    dark: str


class Unreadable(NamedTuple):
    """A file that cannot be read as a picture, and the reason."""

    file: str
    reason: str

    def __str__(self) -> str:
        """Format a one-line warning."""
        return f"skipping {files.printable(self.file)}: {files.printable(self.reason)}"


def to_pixels(picture: Image.Image, preparation: Preparation) -> Pixels:
    """Convert a picture to uint8 pixels: apply EXIF orientation, composite onto white, convert to 8 bits, resize
    and centre-crop.

    The picture is resized with antialiasing until it just covers the target, and the middle of the longer side is
    kept; or as the preparation says. A picture that already has the size is not resampled. The picture itself stays
    as it is.

    Args:
      picture: a picture of any format, size and mode; only the first frame of an animation is used.
      preparation: how it is resized, and the shape of the result.

    Returns:
      uint8 [h, w, c].

    Raises:
      ValueError: if the pixel values have no defined range (floating point) or exceed 16 bits.
      OSError: if the file is damaged.
    """
    return _told(_convert(_own(picture), preparation), "a picture")


def read(file: Path, preparation: Preparation) -> Pixels:
    """Read a picture file and convert it with `to_pixels`.

    Raises:
      InputError: if the file cannot be read; the message names the file.
    """
    result = _read(file, preparation)
    if isinstance(result, Unreadable):
        raise InputError(f"{file} cannot be read as an image: {result.reason}")
    return _told(result, file)


def opened(file: Path | io.BufferedIOBase) -> Image.Image:
    """Open a picture, which is not decoded yet; the only way in for a file that somebody else may have made.

    Raises:
      OSError: and Pillow's other errors, if it has none of the formats that are read, or cannot be read.
    """
    source = file if isinstance(file, io.BufferedIOBase) else files.regular(Path(file))
    picture = Image.open(source, formats=kinds.formats())
    depth.mend(picture)
    return picture


def open_rgb(file: Path | io.BufferedIOBase) -> Image.Image:
    """Open a picture for display: full size, converted to RGB as `to_pixels` does; raises Pillow's own errors."""
    with opened(file) as picture:
        return _upright(picture, depth.scale(picture), "RGB")


def stream(paths: Iterable[Path], preparation: Preparation) -> Iterator[tuple[Path, Converted | Unreadable]]:
    """Read picture files on all cores, ahead of what is taken; yield (file, Converted or Unreadable) in order.

    However many there are, the pixels that wait take at most 128 MiB, and each core holds one picture in full size.
    Closing the iterator (`contextlib.closing`) ends its threads, after the pictures that they are decoding.
    """
    # Threads are enough: Pillow releases the GIL while it decodes and resizes.
    cores = len(os.sched_getaffinity(0))
    ahead = max(cores, min(_AHEAD, _AHEAD_BYTES // math.prod(preparation.shape)))
    waiting: collections.deque[tuple[Path, Future]] = collections.deque()
    pool = ThreadPoolExecutor(cores, thread_name_prefix="decode")
    with _allow_large_images():
        try:
            for file in paths:
                waiting.append((file, pool.submit(_read, file, preparation)))
                if len(waiting) > ahead:
                    yield _result(waiting)
            while waiting:
                yield _result(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def from_array(image: np.ndarray) -> Image.Image:
    """Convert uint8 pixels [h, w, c], with 1, 3 or 4 channels, to a picture."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def thumbnails(images: UInt8[np.ndarray, "... h w c"]) -> UInt8[np.ndarray, "... H W c"]:
    """Reduce images, with 1 or 3 channels, to at most 96 pixels along the longer side; smaller ones stay."""
    *several, height, width, channels = images.shape
    if max(height, width) <= THUMBNAIL:
        return images
    size = [max(1, round(side * THUMBNAIL / max(height, width))) for side in (width, height)]
    flat = images.reshape(-1, height, width, channels)
    small = [np.asarray(from_array(image).resize(size, Image.Resampling.BICUBIC)) for image in flat]
    return np.array(small, np.uint8).reshape(*several, size[1], size[0], channels)


def dark_line(dark: Sequence[tuple[str, str]]) -> str:
    """Write a one-line warning that counts the nearly black pictures, and names the first: (name, bits used)."""
    shown = ", ".join(f"{files.printable(name)} ({bits})" for name, bits in dark[:_SHOWN])
    more = f" and {len(dark) - _SHOWN} more" if len(dark) > _SHOWN else ""
    mend = "scale their values, or state the largest one (MaxSampleValue in a grey TIFF)"
    return f"{len(dark)} pictures are nearly black, as their values use few of their bits: {shown}{more}; {mend}"


def _result(waiting: collections.deque[tuple[Path, Future]]) -> tuple[Path, Converted | Unreadable]:
    file, future = waiting.popleft()
    return file, future.result()


def _read(file: Path, preparation: Preparation) -> Converted | Unreadable:
    try:
        if not file.stat().st_size:
            return Unreadable(str(file), "empty file")
        with opened(file) as picture:
            return _convert(picture, preparation)
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        return Unreadable(str(file), kinds.unidentified(file))
    except Exception as error:  # a damaged file can raise anything
        # Pillow's messages can span several lines.
        reason = " ".join(str(error).split()) or type(error).__name__
        return Unreadable(str(file), reason)


def _own(picture: Image.Image) -> Image.Image:
    """Open a JPEG that is not decoded yet a second time, because decoding it at a reduced size changes it."""
    stream = getattr(picture, "fp", None)
    if picture.format != "JPEG" or not picture.tile or stream is None:
        return picture
    position = stream.tell()
    stream.seek(0)
    content = io.BytesIO(stream.read())
    stream.seek(position)
    return Image.open(content, formats=["JPEG"])


def _convert(picture: Image.Image, preparation: Preparation) -> Converted:
    """Convert a picture that was opened here as `to_pixels` does."""
    shape, side = preparation.shape, preparation.side
    size = (shape.width, shape.height)
    if picture.format == "JPEG":
        least = _DRAFT_SCALE * max(*size, side)
        picture.draft(None, (least, least))
    scale = depth.scale(picture)
    dark = scale.dark if scale else depth.dark_colours(picture)
    picture = _upright(picture, scale, MODES[shape.channels])
    resampling = Image.Resampling[preparation.interpolation.upper()]
    if preparation.stretched:
        picture = picture if picture.size == size else picture.resize(size, resampling)
    elif side:
        picture = _cut(picture, size, side, resampling)
    elif picture.size != size:
        picture = ImageOps.fit(picture, size, resampling)
    return Converted(np.asarray(picture).reshape(shape), dark)


def _cut(picture: Image.Image, size: tuple[int, int], side: int, resampling: Image.Resampling) -> Image.Image:
    """Resize the shorter side and cut out the middle, both rounded down as transformers does."""
    shorter = min(picture.size)
    width, height = (side * length // shorter for length in picture.size)
    if picture.size != (width, height):
        picture = picture.resize((width, height), resampling)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return picture.crop((left, top, left + size[0], top + size[1]))


def _upright(picture: Image.Image, scale: depth.Scale | None, mode: str) -> Image.Image:
    """Apply EXIF orientation, composite a transparent picture onto white, and convert to a mode with 8 bits."""
    picture.load()  # before its EXIF data, which some formats have at the end
    if picture.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED:  # or it would be copied
        picture = ImageOps.exif_transpose(picture)
    if scale:
        return depth.to_8_bits(picture, scale).convert(mode)
    if picture.mode == "La":  # Pillow converts it to nothing else
        picture = picture.convert("LA")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    if picture.mode == "LAB":  # Pillow converts it to no other mode
        picture = picture.convert("RGB")
    return picture if picture.mode == mode else picture.convert(mode)


def _told(result: Converted, name: str | Path) -> Pixels:
    """Return the pixels, after a warning if the picture is nearly black."""
    if result.dark:
        logging.warning("%s uses only %s: it is nearly black", files.printable(name), result.dark)
    return result.pixels


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
