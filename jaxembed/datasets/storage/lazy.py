"""Images that stay in their records: an array's shape and indexing, without the memory of one."""

import contextlib
import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from jaxembed.core.errors import InputError
from jaxembed.datasets.storage.examples import Examples

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
        self,
        examples: Examples,
        shape: tuple[int, ...],
        rows: Int[np.ndarray, " n"],
        *,
        name: str,
        folder: Path,
    ) -> None:
        """Describe the images; nothing is read.

        Args:
          examples: the records of the split.
          shape: (h, w, c), which every image must have.
          rows: the images' indices among the records.
          name: the dataset's name in errors.
          folder: the dataset's folder in errors.
        """
        self.shape = (len(rows), *shape)
        self._examples, self._rows = examples, rows
        self._name, self._folder = name, folder

    def __len__(self) -> int:
        """Return n."""
        return len(self._rows)

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "*rows h w c"]:
        """Read and decode images: `images[rows]` of an array, for whatever NumPy takes as an index of one axis.

        Raises:
          IndexError: if there is no such row.
          InputError: if a record is damaged, or its image has another shape or loses something in decoding.
        """
        chosen = self._rows[rows]
        flat = chosen.ravel()
        images = np.empty((len(flat), *self.shape[1:]), np.uint8)

        def read(start: int) -> None:
            examples = self._examples.read(flat[start : start + _READ_AT_ONCE].tolist())
            for row, example in enumerate(examples, start):
                images[row] = self._examples.decode(int(flat[row]), example.encoded, self.shape[1:])

        with naming(self._name, self._folder):
            list(_pool().map(read, range(0, len(flat), _READ_AT_ONCE)))
        return images.reshape(*chosen.shape, *self.shape[1:])

    def subset(self, rows: Any) -> "Stored":
        """Select some of the images without reading them; `rows` index one axis, as in NumPy."""
        return Stored(self._examples, self.shape[1:], self._rows[rows], name=self._name, folder=self._folder)


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
