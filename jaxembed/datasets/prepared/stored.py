"""Images that stay in their records: an array's shape and indexing, without the memory of one."""

import contextlib
import functools
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from jaxembed.errors import InputError
from jaxembed.pictures import MODES, Pixels

# Records that a thread reads at a time: a read has a fixed cost, but one batch should have work for all cores.
_READ_AT_ONCE = 32


class Stored:
    """The uint8 images [n, h, w, c] of some records of a prepared split.

    Indexing reads and decodes the images on all cores; nothing is kept.

    Attributes:
      shape: (n, h, w, c).
      dtype: uint8.
      ndim: 4.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(
        self, source: Any, key: str, shape: tuple[int, ...], rows: Int[np.ndarray, " n"], *, name: str, folder: Path
    ) -> None:
        """Describe the images; nothing is read.

        Args:
          source: TFDS's data source of the split, which leaves images encoded.
          key: of the image in an example.
          shape: (h, w, c), which every image must have.
          rows: positions of the images in the source.
          name: of the dataset in errors.
          folder: of the dataset, in errors.
        """
        self.shape = (len(rows), *shape)
        self._source, self._key, self._rows = source, key, rows
        self._name, self._folder = name, folder

    def __len__(self) -> int:
        """Return n."""
        return len(self._rows)

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "*rows h w c"]:
        """Read and decode images: `images[rows]` of an array, for whatever NumPy takes as an index of one axis.

        Raises:
          IndexError: if there is no such row.
          InputError: if a record is damaged, or its image has another shape.
        """
        chosen = self._rows[rows]
        flat = chosen.ravel()
        images = np.empty((len(flat), *self.shape[1:]), np.uint8)

        def read(start: int) -> None:
            examples = self._source.__getitems__(flat[start : start + _READ_AT_ONCE].tolist())
            for row, example in enumerate(examples, start):
                images[row] = decoded(example[self._key], self.shape[1:])

        with naming(self._name, self._folder):
            list(_pool().map(read, range(0, len(flat), _READ_AT_ONCE)))
        return images.reshape(*chosen.shape, *self.shape[1:])

    def subset(self, rows: Any) -> "Stored":
        """Select some of the images without reading them; `rows` index one axis, as in NumPy."""
        return Stored(
            self._source, self._key, self.shape[1:], self._rows[rows], name=self._name, folder=self._folder
        )


def decoded(encoded: bytes, shape: tuple[int, ...]) -> Pixels:
    """Decode a record's image; ValueError unless it has the shape (h, w, c)."""
    # A PNG may hold a palette instead of the mode.
    picture = Image.open(io.BytesIO(encoded)).convert(MODES[shape[-1]])
    # Not reshaped to `shape`, because a transposed image must be an error; nor may a single row be broadcast.
    if (picture.height, picture.width) != tuple(shape[:2]):
        raise ValueError(f"an image must be {shape[0]}×{shape[1]}, got {picture.height}×{picture.width}")
    return np.asarray(picture).reshape(shape)


@contextlib.contextmanager
def naming(name: str, folder: Path) -> Iterator[None]:
    """Replace any error from reading a damaged folder with an InputError that names it."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # protobuf, array_record and Pillow each raise their own type
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder} cannot be read ({reason}); if it is damaged, remove it and prepare {name} again"
        ) from error


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # Threads are enough: reading a record and decoding it both release the GIL.
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="decode")
