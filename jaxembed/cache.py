"""An on-disk cache of decoded arrays, keyed by a hash of the source files."""

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
    """Read cached arrays, or decode them and cache them at the first stem that is writable.

    Args:
      stems: paths without key and suffix: a cache is `<stem>-<key>.npz`. Writing one removes the caches with the
        same stem and other keys.
      key: hash of the source files.
      decode: function that returns the decoded arrays by name.
      what: name of the data in a warning.
    """
    caches = files_of(stems, key)
    for file in filter(os.path.isfile, caches):
        try:
            return _read(file)
        except Exception as error:  # a flipped bit can raise anything, from BadZipFile to MemoryError
            logging.warning("cache %s is damaged (%s); decoding %s again", file, error, what)
    arrays = decode()
    for stem, file in zip(stems, caches, strict=True):
        with contextlib.suppress(OSError):
            _write(file, arrays)
            for stale in set(stem.parent.glob(f"{stem.name}-*.npz")) - {file}:
                stale.unlink(missing_ok=True)
            return arrays
    folders = " or ".join(str(stem.parent) for stem in stems)
    logging.warning("cannot write a cache to %s; %s will be decoded again next time", folders, what)
    return arrays


def files_of(stems: Sequence[Path], key: str) -> list[Path]:
    """Return the file of each stem's cache, whether or not there is one."""
    return [stem.with_name(f"{stem.name}-{key}.npz") for stem in stems]


def user_stem(name: str, folder: Path) -> Path:
    """Return the stem of a cache in the user's cache folder, for the data with this name in a folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxembed"
    origin = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    return home / f"{name.replace('/', '-')}-{origin}"


def _read(file: Path) -> Arrays:
    # An .npz is a zip file, whose CRC of each array detects damage.
    with np.load(file) as arrays:
        return dict(arrays)


def _write(file: Path, arrays: Arrays) -> None:
    """Write atomically: a killed run leaves no partial file with this name, and two runs do not mix their data."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.refuse_read_only(file.parent)
    with files.replacing(file, suffix=f".{os.getpid()}.partial") as stream:
        np.savez(stream, **arrays)
