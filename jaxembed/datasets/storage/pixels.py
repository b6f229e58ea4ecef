"""Pixels: the pictures of a folder at one shape, decoded once into a file that is memory-mapped."""

import contextlib
import hashlib
import math
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from absl import logging
from jaxtyping import Int, UInt8

from jaxembed import pictures
from jaxembed.core import files, npz
from jaxembed.core.errors import InputError
from jaxembed.core.npz import Arrays
from jaxembed.datasets.storage import cache
from jaxembed.pictures import Pixels, Preparation, Shape, Unreadable, kinds

_FORMAT = 3  # of the cache; increase it when decoding changes
# Images that are copied at a time.
_AT_ONCE = 1000


class Mapped:
    """Some rows of uint8 images [n, h, w, c] that are memory-mapped: they are read when they are indexed.

    Attributes:
      shape: (n, h, w, c).
      dtype: uint8.
      ndim: 4.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, images: np.ndarray, rows: Int[np.ndarray, " n"]) -> None:
        """Describe the images; nothing is read."""
        self.shape = (len(rows), *images.shape[1:])
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        """Return n."""
        return len(self._rows)

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "*rows h w c"]:
        """Copy images: `images[rows]` of an array, for whatever NumPy takes as an index of one axis."""
        chosen = self._rows[rows]
        flat = chosen.ravel()
        images = np.empty((len(flat), *self.shape[1:]), np.uint8)
        for start in range(0, len(flat), _AT_ONCE):
            images[start : start + _AT_ONCE] = self._images[flat[start : start + _AT_ONCE]]
            if isinstance(self._images.base, mmap.mmap):  # or all that was ever read would count as its memory
                self._images.base.madvise(mmap.MADV_DONTNEED)
        return images.reshape(*chosen.shape, *self.shape[1:])

    def subset(self, rows: Any) -> "Mapped":
        """Select some of the images without reading them; `rows` index one axis, as in NumPy."""
        return Mapped(self._images, self._rows[rows])


class Decoded(NamedTuple):
    """The pictures of a folder at one shape.

    Attributes:
      images: [m, h, w, c] of those that can be read.
      rows: [m] the index of each among the folder's pictures.
      unreadable: the others.
      dark: name, and bits used, of each picture that is nearly black.
    """

    images: Mapped
    rows: Int[np.ndarray, " m"]
    unreadable: list[Unreadable]
    dark: list[tuple[str, str]]


def load(root: Path, names: Sequence[str], shape: Shape, *, limit: float) -> Decoded:
    """Map the cache of a folder's pictures, after decoding them into it if there is none.

    It is in the user's cache folder, and keyed by the pictures' names, sizes and times, and the formats that are
    read: when one changes, all are decoded again, and the old cache is removed. What a killed process had decoded
    is removed as well.

    Args:
      root: the folder.
      names: the pictures' paths relative to it.
      shape: the shape of the images.
      limit: bytes of the images that may be in memory, where they cannot be cached.

    Raises:
      InputError: if they cannot be cached, as on a full disk, and exceed the limit.
    """
    what = files.printable(root)
    stem = cache.user_stem(f"folder-{root.resolve().name}-{shape.height}x{shape.channels}", root)
    given = {"what": what, "check": partial(_check, count=len(names), shape=shape), "mapped": ("images",)}
    key = _key(root, names)
    arrays = cache.read([stem], key, **given)
    if arrays is None:
        arrays = _decode(stem, key, _Reading(root, names, shape), limit=limit)
        arrays = cache.read([stem], key, **given) if arrays is None else arrays
    unreadable = list(map(Unreadable, arrays["bad"].tolist(), arrays["reasons"].tolist()))
    dark = list(zip(arrays["dark"].tolist(), arrays["bits"].tolist(), strict=True))
    return Decoded(Mapped(arrays["images"], arrays["rows"]), arrays["rows"], unreadable, dark)


def _check(arrays: Arrays, *, count: int, shape: Shape) -> None:
    npz.require(arrays, images=("uint8", (count, *shape)), bad=("str", (None,)), dark=("str", (None,)))
    bad, dark = (len(arrays[name]) for name in ("bad", "dark"))
    npz.require(arrays, rows=("int64", (count - bad,)), reasons=("str", (bad,)), bits=("str", (dark,)))
    if (np.diff(arrays["rows"], prepend=-1, append=count) < 1).any():
        raise ValueError(f"its rows must rise from 0 to {count - 1}")


def _key(root: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {kinds.formats()}".encode())
    for name in names:
        try:
            status = (root / name).stat()
            digest.update(os.fsencode(name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
        except OSError:  # dangling symlink
            digest.update(os.fsencode(name))
    return digest.hexdigest()[:16]


def _decode(stem: Path, key: str, reading: "_Reading", *, limit: float) -> Arrays | None:
    """Decode pictures into a cache; where that cannot be written, return them instead."""
    what, size = files.printable(reading.root), len(reading.names) * math.prod(reading.shape)
    try:
        with cache.writing(stem, key, size=size) as archive:
            npz.write(archive, "images", np.dtype(np.uint8), (len(reading.names), *reading.shape), reading)
            for name, array in reading.notes().items():
                npz.write(archive, name, array.dtype, array.shape, [array])
    except OSError as error:
        reason = error.strerror or str(error)
        if size > limit:
            wanted = (
                f"the {size / 1e9:,.1f} GB of its decoded pictures cannot be written to {stem.parent} ({reason})"
            )
            raise InputError(
                f"{what}: {wanted}, and are more than config.train.resident; make room there, or set XDG_CACHE_HOME"
            ) from error
        logging.warning("cannot write a cache to %s (%s); %s will be decoded again", stem.parent, reason, what)
        return {"images": np.stack(list(reading))} | reading.notes()
    (file,) = cache.files_of([stem], key)
    kept = f"its decoded pictures, {size / 1e6:,.1f} MB, are kept in {files.printable(file)}, which may be removed"
    print(f"{what}: {kept}", file=sys.stderr)
    return None


class _Reading:
    """Decodes the pictures of a folder, in order, and notes what is wrong with some of them."""

    def __init__(self, root: Path, names: Sequence[str], shape: Shape) -> None:
        """Describe what to decode; the arguments are those of `load`."""
        self.root, self.names, self.shape = root, names, shape
        self.rows: list[int] = []
        self.unreadable: list[tuple[str, str]] = []
        self.dark: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Pixels]:
        """Decode each picture, black if it cannot be read, and show the progress."""
        self.rows, self.unreadable, self.dark = [], [], []
        black = np.zeros(self.shape, np.uint8)
        bar = tqdm.tqdm(total=len(self.names), desc="decoding", unit=" images", disable=None)
        results = pictures.stream((self.root / name for name in self.names), Preparation(self.shape))
        with bar, contextlib.closing(results):
            for row, (_, result) in enumerate(results):
                if isinstance(result, Unreadable):
                    self.unreadable.append((self.names[row], result.reason))
                    yield black
                else:
                    self.rows.append(row)
                    self.dark += [(self.names[row], result.dark)] if result.dark else []
                    yield result.pixels
                bar.update()

    def notes(self) -> Arrays:
        """Return what was noted, as arrays."""
        bad, reasons = zip(*self.unreadable, strict=True) if self.unreadable else ((), ())
        names, bits = zip(*self.dark, strict=True) if self.dark else ((), ())
        texts = {"bad": bad, "reasons": reasons, "dark": names, "bits": bits}
        return {"rows": np.array(self.rows, np.int64)} | {key: np.array(each, str) for key, each in texts.items()}
