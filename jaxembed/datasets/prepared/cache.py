"""The decoded arrays of a prepared dataset, kept on disk under a key of what they were decoded from."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from absl import logging

from jaxembed.datasets.prepared import records
from jaxembed.datasets.prepared.records import Published
from jaxembed.types import Batch

_FORMAT = 1


def load(name: str, folder: Path) -> Published:
    """Read the decoded arrays, from beside the data or from the user's cache, or decode and write them."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxembed"
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    stems = [folder / "jaxembed", home / f"{name.replace('/', '-')}-{folder.name}-{place}"]
    key = _key(folder)
    files = [stem.with_name(f"{stem.name}-{key}.npz") for stem in stems]
    for file in filter(os.path.isfile, files):
        try:
            return _read(file)
        except Exception as error:  # a flipped bit surfaces as anything, from BadZipFile to MemoryError
            logging.warning("The cache %s is damaged (%s): decoding the dataset again", file, error)
    splits = records.decode(name, folder)
    for stem, file in zip(stems, files, strict=True):
        with contextlib.suppress(OSError):
            _write(file, splits)
            for stale in set(stem.parent.glob(f"{stem.name}-*.npz")) - {file}:
                stale.unlink(missing_ok=True)
            return splits
    logging.warning("Neither %s nor %s is writable: %s will be decoded again next time", folder, home, name)
    return splits


def heed_read_only(folder: Path) -> None:
    """Raise a PermissionError if a folder is marked read-only: nothing else stops root from writing into it."""
    if not folder.stat().st_mode & 0o222:
        raise PermissionError("it is marked read-only")


def _key(folder: Path) -> str:
    """Hash what the arrays come from: the metadata's text, the records' names, sizes and times."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt"):
            digest.update(file.name.encode() + file.read_bytes())
        elif ".array_record-" in file.name:
            digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read(file: Path) -> Published:
    # np.load reads a zip, whose CRC of each array finds damage.
    with np.load(file) as arrays:
        train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
        return Published(tuple(arrays["classes"].tolist()), train, test)


def _write(file: Path, splits: Published) -> None:
    """Write all or nothing: a killed run leaves no file of that name, and two runs do not mix theirs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    heed_read_only(file.parent)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    arrays = {
        "classes": np.array(splits.classes),
        "train_images": splits.train.images,
        "train_labels": splits.train.labels,
        "test_images": splits.test.images,
        "test_labels": splits.test.labels,
    }
    try:
        with unfinished.open("wb") as stream:
            np.savez(stream, **arrays)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
