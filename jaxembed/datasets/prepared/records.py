"""Reads the ArrayRecord files of a prepared TFDS folder, without TensorFlow: as cached arrays, or by row."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm

from jaxembed import cache, fingerprint
from jaxembed.datasets.prepared import stored
from jaxembed.datasets.prepared.stored import Stored
from jaxembed.errors import InputError
from jaxembed.pictures import MODES
from jaxembed.types import Batch, Published

_FORMAT = 2  # of the cache; increase it when decoding changes
_READ_AT_ONCE = 2000


class _Opened(NamedTuple):
    """A prepared folder, before anything is decoded: its data sources, keys of an example, (h, w, c), classes."""

    train: Any
    test: Any
    image: str
    label: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]


def load(name: str, folder: Path, *, resident: float) -> Published:
    """Read a prepared dataset; what had to be decoded is cached in the data's folder or the user's cache.

    Args:
      name: of the dataset.
      folder: its version's folder.
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
    if not small and _size(name, folder) > limit:
        return _in_records(name, folder, key)
    arrays = cache.load(stems, key, lambda: _arrays(decode(name, folder)), what=name)
    train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
    return Published(tuple(arrays["classes"].tolist()), train, test)


def _in_records(name: str, folder: Path, key: str) -> Published:
    """Leave the train images in their records; read what else there is from a cache, or decode it all once."""
    with stored.naming(name, folder):
        opened = _open(name, folder)
        rows = np.arange(len(opened.train))
        images = Stored(opened.train, opened.image, opened.shape, rows, name=name, folder=folder)

        def arrays() -> cache.Arrays:
            labels = _labels(opened.train, opened.label)
            test = _decode_split(opened.test, opened)
            _check_labels(name, labels, test.labels)
            sha256 = fingerprint.of(Published(opened.classes, Batch(images, labels), test))
            return {
                "train_labels": labels,
                "test_images": test.images,
                "test_labels": test.labels,
                "sha256": np.array(sha256),
            }

        read = cache.load(_stems(name, folder, "_labels"), key, arrays, what=f"the labels of {name}")
    train, test = Batch(images, read["train_labels"]), Batch(read["test_images"], read["test_labels"])
    return Published(opened.classes, train, test, sha256=str(read["sha256"]))


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


def _arrays(splits: Published) -> cache.Arrays:
    return {
        "classes": np.array(splits.classes),
        "train_images": splits.train.images,
        "train_labels": splits.train.labels,
        "test_images": splits.test.images,
        "test_labels": splits.test.labels,
    }


def decode(name: str, folder: Path) -> Published:
    """Decode a prepared folder; the builder's code is not needed, because the folder describes its contents."""
    with stored.naming(name, folder):
        opened = _open(name, folder)
        train, test = (_decode_split(source, opened) for source in (opened.train, opened.test))
        _check_labels(name, train.labels, test.labels)
        return Published(opened.classes, train, test)


def _size(name: str, folder: Path) -> int:
    """Return the size of the decoded train images, in bytes."""
    with stored.naming(name, folder):
        opened = _open(name, folder)
        return len(opened.train) * math.prod(opened.shape)


def _open(name: str, folder: Path) -> _Opened:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    image, label = _supervised(name, builder.info)
    # We decode the image's bytes ourselves, because TFDS would log advice to install opencv.
    decoders = {image: tfds.decode.SkipDecoding()}
    train, test = (builder.as_data_source(split, decoders=decoders) for split in ("train", "test"))
    features = builder.info.features
    return _Opened(train, test, image, label, features[image].shape, tuple(features[label].names))


def _supervised(name: str, info: Any) -> tuple[str, str]:
    """Return the keys of the image and its label, after checking that a Batch can hold them."""
    from tensorflow_datasets import features

    keys = info.supervised_keys or ()
    supervised = [info.features[key] for key in keys if isinstance(key, str)]
    if [type(feature) for feature in supervised] != [features.Image, features.ClassLabel]:
        got = ", ".join(type(feature).__name__ for feature in supervised) or "none"
        raise InputError(
            f"{name} must be an image classification dataset, with supervised keys (Image, ClassLabel); got {got}"
        )
    if None in supervised[0].shape or supervised[0].np_dtype != np.uint8:
        got = f"{np.dtype(supervised[0].np_dtype).name} of shape {supervised[0].shape}"
        raise InputError(f"{name} must have uint8 images of one static shape, got {got}")
    if supervised[0].shape[-1] not in MODES:
        raise InputError(f"{name} must have grey or RGB images, 1 or 3 channels; got {supervised[0].shape[-1]}")
    if not {"train", "test"} <= set(info.splits):
        raise InputError(f"{name} must have the splits train and test, got {', '.join(info.splits) or 'none'}")
    if (got := info.file_format and info.file_format.value) != "array_record":
        raise InputError(
            f"{name} must be prepared as array_record, got {got} in {info.data_dir}; remove that folder and run "
            f"`tfds build {name} --file_format=array_record`, which needs TensorFlow"
        )
    return keys


def _check_labels(name: str, *labels: np.ndarray) -> None:
    if min(split.min() for split in labels) < 0:
        raise InputError(f"{name} must have a label for every image, got -1 for some")


def _decode_split(source: Any, opened: _Opened) -> Batch:
    n = len(source)
    batch = Batch(np.empty((n, *opened.shape), np.uint8), np.empty(n, np.int32))
    for row, example in _examples(source, what=f"decoding {source.split}"):
        batch.images[row] = stored.decoded(example[opened.image], opened.shape)
        batch.labels[row] = example[opened.label]
    return batch


def _labels(source: Any, label: str) -> np.ndarray:
    examples = _examples(source, what=f"reading the labels of {source.split}")
    return np.fromiter((example[label] for _, example in examples), np.int32, len(source))


def _examples(source: Any, *, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row and its example, with the image still encoded, and show the progress."""
    n = len(source)
    with tqdm.tqdm(total=n, desc=what, unit=" images", disable=None) as bar:
        for start in range(0, n, _READ_AT_ONCE):
            rows = range(start, min(start + _READ_AT_ONCE, n))
            yield from zip(rows, source.__getitems__(list(rows)), strict=True)
            bar.update(len(rows))
