"""An on-disk cache of a prepared dataset's decoded arrays, under a key of the files they were decoded from."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from absl import logging

from jaxembed import files
from jaxembed.datasets.prepared import records
from jaxembed.types import Batch, Published

_FORMAT = 1


def load(name: str, folder: Path) -> Published:
    """Read the decoded arrays from the data's folder or the user's cache, or else decode and write them."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxembed"
    origin = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    stems = [folder / "jaxembed", home / f"{name.replace('/', '-')}-{folder.name}-{origin}"]
    key = _key(folder)
    caches = [stem.with_name(f"{stem.name}-{key}.npz") for stem in stems]
    for file in filter(os.path.isfile, caches):
        try:
            return _read(file)
        except Exception as error:  # a flipped bit can raise anything, from BadZipFile to MemoryError
            logging.warning("The cache %s is damaged (%s): decoding the dataset again", file, error)
    splits = records.decode(name, folder)
    for stem, file in zip(stems, caches, strict=True):
        with contextlib.suppress(OSError):
            _write(file, splits)
            for stale in set(stem.parent.glob(f"{stem.name}-*.npz")) - {file}:
                stale.unlink(missing_ok=True)
            return splits
    logging.warning("Neither %s nor %s is writable: %s will be decoded again next time", folder, home, name)
    return splits


def _key(folder: Path) -> str:
    """Hash the source of the arrays: the text of the metadata, and the names, sizes and times of the records."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt"):
            digest.update(file.name.encode() + file.read_bytes())
        elif ".array_record-" in file.name:
            digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read(file: Path) -> Published:
    # np.load reads a zip file, in which each array has a CRC that detects damage.
    with np.load(file) as arrays:
        train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
        return Published(tuple(arrays["classes"].tolist()), train, test)


def _write(file: Path, splits: Published) -> None:
    """Write all or nothing: a killed run leaves no file with that name, and two runs do not mix their data."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.refuse_read_only(file.parent)
    arrays = {
        "classes": np.array(splits.classes),
        "train_images": splits.train.images,
        "train_labels": splits.train.labels,
        "test_images": splits.test.images,
        "test_labels": splits.test.labels,
    }
    with files.replacing(file, suffix=f".{os.getpid()}.partial") as stream:
        np.savez(stream, **arrays)
