"""Reads the ArrayRecord files of a prepared TFDS folder, without TensorFlow: as cached arrays, or by row."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tqdm

from jaxembed.core import npz
from jaxembed.core.npz import Arrays
from jaxembed.datasets.storage import cache, description, fingerprint, lazy
from jaxembed.datasets.storage.description import SPLITS, Description
from jaxembed.datasets.storage.examples import Example, Examples
from jaxembed.datasets.storage.lazy import Stored
from jaxembed.pictures import MODES
from jaxembed.types import Batch, Published

_FORMAT = 2  # of the cache; increase it when decoding changes
_READ_AT_ONCE = 2000


def load(name: str, folder: Path, *, resident: float) -> Published:
    """Read a prepared dataset; what had to be decoded is cached in the data's folder or the user's cache.

    Args:
      name: the dataset's name.
      folder: the folder of the dataset's version.
      resident: GB of decoded train images that may be in memory. If there are more, they stay in their records and
        are decoded when they are indexed; labels and the test split are always in memory.

    Raises:
      InputError: if the dataset is no image classification dataset, or is damaged.
    """
    key, limit = _key(folder), resident * 1e9
    stems = _stems(name, folder, "")
    # A cache holds the train images and more, uncompressed: if it is small enough, so are they, and TFDS, which
    # takes most of a second to import, is not needed.
    small = any(file.is_file() and file.stat().st_size <= limit for file in cache.files_of(stems, key))
    arrays = None
    if small or _size(name, folder) <= limit:
        arrays = cache.read(stems, key, what=name, check=_check)
    if arrays is None:
        # Asked again, because a damaged cache may be smaller than what it should hold.
        if _size(name, folder) > limit:
            return _in_records(name, folder, key)
        arrays = cache.write(stems, key, _arrays(decode(name, folder)), what=name)
    train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS)
    return Published(tuple(arrays["classes"].tolist()), train, test)


def decode(name: str, folder: Path) -> Published:
    """Decode a prepared folder.

    Raises:
      InputError: as `load`.
    """
    with lazy.naming(name, folder):
        described = description.read(name, folder)
        train, test = (_decode_split(split, described) for split in (described.train, described.test))
        return Published(described.classes, train, test)


def _in_records(name: str, folder: Path, key: str) -> Published:
    """Leave the train images in their records; read what else there is from a cache, or decode it all once."""
    with lazy.naming(name, folder):
        described = description.read(name, folder)
        shape, classes = described.shape, described.classes
        images = Stored(described.train, shape, np.arange(len(described.train)), name=name, folder=folder)

        def decode_all() -> Arrays:
            labels, test = _labels(described), _decode_split(described.test, described)
            sha256 = np.array(fingerprint.of(Published(classes, Batch(images, labels), test)))
            return {
                "train_labels": labels,
                "test_images": test.images,
                "test_labels": test.labels,
                "sha256": sha256,
            }

        def check(arrays: Arrays) -> None:
            n, m = len(described.train), len(described.test)
            npz.require(arrays, train_labels=("int32", (n,)), sha256=("str", ()))
            npz.require(arrays, test_images=("uint8", (m, *shape)), test_labels=("int32", (m,)))
            _check_labels(arrays, len(classes))

        stems = _stems(name, folder, "_labels")
        arrays = cache.load(stems, key, decode_all, what=f"the labels of {name}", check=check)
    train, test = Batch(images, arrays["train_labels"]), Batch(arrays["test_images"], arrays["test_labels"])
    return Published(classes, train, test, sha256=str(arrays["sha256"]))


def _stems(name: str, folder: Path, kind: str) -> list[Path]:
    return [folder / f"jaxembed{kind}", cache.user_stem(f"{name}-{folder.name}{kind}", folder)]


def _key(folder: Path) -> str:
    """Hash the source of the arrays: the text of the metadata, and the names, sizes and times of the records."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt"):
            digest.update(file.name.encode() + file.read_bytes())
        elif ".array_record-" in file.name:
            digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _arrays(splits: Published) -> Arrays:
    return {
        "classes": np.array(splits.classes),
        "train_images": splits.train.images,
        "train_labels": splits.train.labels,
        "test_images": splits.test.images,
        "test_labels": splits.test.labels,
    }


def _check(arrays: Arrays) -> None:
    npz.require(arrays, classes=("str", (None,)), train_images=("uint8", (None,) * 4))
    n, *shape = arrays["train_images"].shape
    npz.require(arrays, train_labels=("int32", (n,)), test_images=("uint8", (None, *shape)))
    npz.require(arrays, test_labels=("int32", (len(arrays["test_images"]),)))
    if not n or not len(arrays["test_images"]) or shape[-1] not in MODES:
        raise ValueError(f"it holds {n} and {len(arrays['test_images'])} images of shape {tuple(shape)}")
    _check_labels(arrays, len(arrays["classes"]))


def _check_labels(arrays: Arrays, classes: int) -> None:
    for labels in (arrays[f"{split}_labels"] for split in SPLITS):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels must be in 0..{classes - 1}, got {labels.min()} to {labels.max()}")


def _size(name: str, folder: Path) -> int:
    """Return the size of the decoded train images, in bytes."""
    with lazy.naming(name, folder):
        described = description.read(name, folder)
        return len(described.train) * math.prod(described.shape)


def _decode_split(examples: Examples, described: Description) -> Batch:
    images, labels = np.empty((len(examples), *described.shape), np.uint8), []
    for row, example in _read(examples, what=f"decoding {examples.split}"):
        images[row] = examples.decode(row, example.encoded, described.shape)
        labels.append(example.label)
    return Batch(images, examples.labels(labels, len(described.classes)))


def _labels(described: Description) -> np.ndarray:
    examples = _read(described.train, what=f"reading the labels of {described.train.split}")
    return described.train.labels([example.label for _, example in examples], len(described.classes))


def _read(examples: Examples, *, what: str) -> Iterator[tuple[int, Example]]:
    """Yield each row and its example, and show the progress."""
    n = len(examples)
    with tqdm.tqdm(total=n, desc=what, unit=" images", disable=None) as bar:
        for start in range(0, n, _READ_AT_ONCE):
            rows = range(start, min(start + _READ_AT_ONCE, n))
            yield from zip(rows, examples.read(rows), strict=True)
            bar.update(len(rows))
