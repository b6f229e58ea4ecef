"""An on-disk cache of decoded arrays, keyed by a hash of the source files."""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import logging

from jaxembed.core import files, npz
from jaxembed.core.npz import Arrays


def load(
    stems: Sequence[Path],
    key: str,
    decode: Callable[[], Arrays],
    *,
    what: str,
    check: Callable[[Arrays], None],
) -> Arrays:
    """Read cached arrays, or decode them and cache them.

    Args:
      stems: the paths without key and suffix: a cache is `<stem>-<key>.npz`.
      key: hash of the source files.
      decode: function that returns the decoded arrays by name.
      what: name of the data in a warning.
      check: function that raises an error for arrays that cannot be those that were cached.
    """
    arrays = read(stems, key, what=what, check=check)
    return write(stems, key, decode(), what=what) if arrays is None else arrays


def read(
    stems: Sequence[Path], key: str, *, what: str, check: Callable[[Arrays], None], mapped: Sequence[str] = ()
) -> Arrays | None:
    """Read cached arrays, or map some; None if there are none, or, with a warning, if they are damaged."""
    for file in filter(os.path.isfile, files_of(stems, key)):
        try:
            arrays = npz.read(file, mapped=mapped)
            check(arrays)
            return arrays
        except Exception as error:  # a flipped bit can raise anything, from BadZipFile to MemoryError
            reason = files.printable(" ".join(str(error).split()) or type(error).__name__)
            logging.warning("cache %s is damaged (%s); decoding %s again", file, reason, what)
    return None


def write(stems: Sequence[Path], key: str, arrays: Arrays, *, what: str) -> Arrays:
    """Cache arrays at the first stem that is writable, and return them."""
    for stem in stems:
        with contextlib.suppress(OSError):
            with writing(stem, key, size=sum(array.nbytes for array in arrays.values())) as archive:
                for name, array in arrays.items():
                    npz.write(archive, name, array.dtype, array.shape, [array])
            return arrays
    folders = " or ".join(str(stem.parent) for stem in stems)
    logging.warning("cannot write a cache to %s; %s will be decoded again next time", folders, what)
    return arrays


@contextlib.contextmanager
def writing(stem: Path, key: str, *, size: int) -> Iterator[zipfile.ZipFile]:
    """Open a cache to write, which appears whole or not at all: a killed run leaves no file with its name.

    In the end, the caches with the same stem and other keys are removed, and what killed processes left of theirs.

    Args:
      stem: the path without key and suffix.
      key: hash of the source files.
      size: bytes of what is written, at least.

    Raises:
      OSError: if it cannot be written, or the disk has less room.
    """
    (file,) = files_of([stem], key)
    stem.parent.mkdir(parents=True, exist_ok=True)
    files.refuse_read_only(stem.parent)
    files.sweep(stem.parent, f"{stem.name}-")
    if shutil.disk_usage(stem.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    with files.replacing(file) as stream, zipfile.ZipFile(stream, "w") as archive:
        yield archive
    for other in set(stem.parent.glob(f"{glob.escape(stem.name)}-*.npz")) - {file}:
        other.unlink(missing_ok=True)


def files_of(stems: Sequence[Path], key: str) -> list[Path]:
    """Return the file of each stem's cache, whether or not there is one."""
    return [stem.with_name(f"{stem.name}-{key}.npz") for stem in stems]


def user_stem(name: str, folder: Path) -> Path:
    """Return the stem of a cache in the user's cache folder, for the data with this name in a folder."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:  # a user without a home directory: nothing is cached there
        home = Path(os.devnull)
    origin = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    return home / "jaxembed" / f"{name.replace('/', '-')}-{origin}"
