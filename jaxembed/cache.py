"""An on-disk cache of decoded arrays, under a key of the files they were decoded from."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from jaxembed import files

Arrays = dict[str, np.ndarray]


def load(stems: Sequence[Path], key: str, decode: Callable[[], Arrays], *, what: str) -> Arrays:
    """Read cached arrays, or else decode them and write them to the first place that can be written.

    Args:
      stems: the places: a cache is `<stem>-<key>.npz`; those of other keys are removed once it is written.
      key: of what the arrays are decoded from, which changes when that does.
      decode: makes the arrays, by name.
      what: is decoded, in a warning.
    """
    caches = [stem.with_name(f"{stem.name}-{key}.npz") for stem in stems]
    for file in filter(os.path.isfile, caches):
        try:
            return _read(file)
        except Exception as error:  # a flipped bit can raise anything, from BadZipFile to MemoryError
            logging.warning("The cache %s is damaged (%s): decoding the dataset again", file, error)
    arrays = decode()
    for stem, file in zip(stems, caches, strict=True):
        with contextlib.suppress(OSError):
            _write(file, arrays)
            for stale in set(stem.parent.glob(f"{stem.name}-*.npz")) - {file}:
                stale.unlink(missing_ok=True)
            return arrays
    places = " nor ".join(str(stem.parent) for stem in stems)
    logging.warning("Neither %s is writable: %s will be decoded again next time", places, what)
    return arrays


def of_user(name: str, folder: Path) -> Path:
    """Return the stem of a cache in the user's own cache folder, for data with this name from a folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxembed"
    origin = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    return home / f"{name.replace('/', '-')}-{origin}"


def _read(file: Path) -> Arrays:
    # np.load reads a zip file, in which each array has a CRC that detects damage.
    with np.load(file) as arrays:
        return dict(arrays)


def _write(file: Path, arrays: Arrays) -> None:
    """Write all or nothing: a killed run leaves no file with that name, and two runs do not mix their data."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.refuse_read_only(file.parent)
    with files.replacing(file, suffix=f".{os.getpid()}.partial") as stream:
        np.savez(stream, **arrays)
