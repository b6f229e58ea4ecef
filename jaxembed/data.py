"""A dataset's name becomes arrays: TFDS's ArrayRecord folders, decoded once, without TensorFlow."""

import contextlib
import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm
from absl import logging
from PIL import Image

from jaxembed import registry
from jaxembed.types import Batch, InputError

# Pillow's names for channels; asked for because a PNG may hold a palette instead.
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_CACHE_FORMAT = 1
_DECODED_AT_ONCE = 2000


class Dataset(NamedTuple):
    """Images uint8 [n, h, w, c] and labels int32 [n] on the host, in three splits; classes[label] is its name."""

    name: str
    classes: tuple[str, ...]
    train: Batch
    validation: Batch
    test: Batch


class _Splits(NamedTuple):
    """What a dataset's authors published: no validation split yet."""

    classes: tuple[str, ...]
    train: Batch
    test: Batch


def load(name: str, *, data_dir: str | None, validation: int, seed: int) -> Dataset:
    """Load a dataset by its TFDS name, preparing and decoding it where that has not been done.

    Args:
      name: `digits` (inside scikit-learn; 8×8, no files), a name or name/config prepared under the data dir
        as ArrayRecord, or one of prepare.SOURCES, which is then downloaded.
      data_dir: where prepared datasets lie; None is TFDS_DATA_DIR, or else ~/tensorflow_datasets, as in TFDS.
      validation: how many train images to carve out; the same seed picks the same ones.
      seed: of that choice.
    Raises:
      InputError: the name is unknown or its data cannot be had, is no image classification dataset or is
        damaged, or `validation` is not between 1 and the train images less one.
    """
    if name == "digits":
        splits = _digits()
    else:
        root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        splits = _cached(name, _find(name, Path(root).expanduser()))
    train, held_out = _carve(splits.train, validation, seed)
    return Dataset(name, splits.classes, train, held_out, splits.test)


def _digits() -> _Splits:
    from sklearn import datasets

    digits = datasets.load_digits()
    batch = Batch(np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target.astype(np.int32))
    # No split is published. The rows are "apparently grouped by authors" (scikit-learn's test_split.py), so
    # the tail holds hands that the rest mostly does not, where a random fifth would share them.
    return _Splits(tuple(map(str, digits.target_names)), _rows(batch, slice(-360)), _rows(batch, slice(-360, None)))


def _carve(train: Batch, validation: int, seed: int) -> tuple[Batch, Batch]:
    n = len(train.labels)
    if not 1 <= validation < n:
        raise InputError(f"config.data.validation must be between 1 and {n - 1}, got {validation}")
    order = np.random.default_rng(seed).permutation(n)
    return _rows(train, np.sort(order[validation:])), _rows(train, np.sort(order[:validation]))


def _rows(batch: Batch, rows: Any) -> Batch:
    return Batch(batch.images[rows], batch.labels[rows])


def _find(name: str, root: Path) -> Path:
    """Return the version folder of a prepared dataset, preparing it first where we can."""
    prepared = _prepared(root)
    if name in prepared:
        return prepared[name]
    # Imported here because TFDS takes most of a second, and a cached dataset does without it.
    import tensorflow_datasets as tfds

    from jaxembed import prepare

    known = dict.fromkeys(("digits", *prepare.SOURCES, *prepared))
    if name not in known and name.split("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise InputError(
            f"{name} is not prepared in {root} (there is: {', '.join(prepared) or 'nothing'}); prepare it with "
            f"`tfds build {name} --file_format=array_record --data_dir={root}`, which needs TensorFlow"
        )
    registry.choose(name, known, what="config.data.name")
    return prepare.prepare(name, root)


def _prepared(root: Path) -> dict[str, Path]:
    """Map each name or name/config to its latest version; TFDS writes in another folder and renames it last."""
    files = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    folders = [file.parent for file in files if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
    folders.sort(key=lambda folder: [int(number) for number in folder.name.split(".")])
    latest = {folder.parent.relative_to(root).as_posix(): folder for folder in folders}
    return dict(sorted(latest.items()))


def _cached(name: str, folder: Path) -> _Splits:
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
    splits = _decode(name, folder)
    for stem, file in zip(stems, files, strict=True):
        with contextlib.suppress(OSError):
            _write(file, splits)
            for stale in set(stem.parent.glob(f"{stem.name}-*.npz")) - {file}:
                stale.unlink(missing_ok=True)
            return splits
    logging.warning("Neither %s nor %s is writable: %s will be decoded again next time", folder, home, name)
    return splits


def _key(folder: Path) -> str:
    """Hash what the arrays come from: the metadata's text, the records' names, sizes and times."""
    digest = hashlib.sha256(str(_CACHE_FORMAT).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt"):
            digest.update(file.name.encode() + file.read_bytes())
        elif ".array_record-" in file.name:
            digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read(file: Path) -> _Splits:
    # np.load reads a zip, whose CRC of each array finds damage.
    with np.load(file) as arrays:
        train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
        return _Splits(tuple(arrays["classes"].tolist()), train, test)


def _write(file: Path, splits: _Splits) -> None:
    """Write all or nothing: a killed run leaves no file of that name, and two runs do not mix theirs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Nothing stops root from writing into a folder marked read-only, so the mark is asked for.
    if not file.parent.stat().st_mode & 0o222:
        raise PermissionError(f"{file.parent} is marked read-only")
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


def _decode(name: str, folder: Path) -> _Splits:
    """Decode a prepared folder; the builder's code need not exist, for the folder says what it holds."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        image, label = _supervised(name, builder.info)
        # The image's bytes are left to us, because TFDS would log advice to install opencv.
        decoders = {image: tfds.decode.SkipDecoding()}
        sources = (builder.as_data_source(split, decoders=decoders) for split in ("train", "test"))
        shape = builder.info.features[image].shape
        train, test = (_decode_split(source, image, label, shape) for source in sources)
        if min(train.labels.min(), test.labels.min()) < 0:
            raise InputError(f"{name} must have a label for every image, got -1 for some")
        return _Splits(tuple(builder.info.features[label].names), train, test)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # protobuf, array_record and Pillow each raise their own
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder} cannot be read ({reason}); if it is damaged, remove it and prepare {name} again"
        ) from error


def _supervised(name: str, info: Any) -> tuple[str, str]:
    """Return the keys of the image and its label, after checking that they are what a Batch can hold."""
    from tensorflow_datasets import features

    keys = info.supervised_keys or ()
    found = [info.features[key] for key in keys if isinstance(key, str)]
    if [type(feature) for feature in found] != [features.Image, features.ClassLabel]:
        got = ", ".join(type(feature).__name__ for feature in found) or "none"
        raise InputError(
            f"{name} must be an image classification dataset, with supervised keys (Image, ClassLabel); got {got}"
        )
    if None in found[0].shape or found[0].np_dtype != np.uint8:
        got = f"{np.dtype(found[0].np_dtype).name} of shape {found[0].shape}"
        raise InputError(f"{name} must have uint8 images of one static shape, got {got}")
    if not {"train", "test"} <= set(info.splits):
        raise InputError(f"{name} must have the splits train and test, got {', '.join(info.splits) or 'none'}")
    if (got := info.file_format and info.file_format.value) != "array_record":
        raise InputError(
            f"{name} must be prepared as array_record, got {got} in {info.data_dir}; remove that and run "
            f"`tfds build {name} --file_format=array_record`, which needs TensorFlow"
        )
    return keys


def _decode_split(source: Any, image: str, label: str, shape: tuple[int, int, int]) -> Batch:
    n = len(source)
    batch = Batch(np.empty((n, *shape), np.uint8), np.empty(n, np.int32))
    with tqdm.tqdm(total=n, desc=f"decoding {source.split}", unit=" images", disable=None) as bar:
        for start in range(0, n, _DECODED_AT_ONCE):
            rows = range(start, min(start + _DECODED_AT_ONCE, n))
            for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
                pixels = Image.open(io.BytesIO(example[image])).convert(_MODES[shape[-1]])
                # Not reshaped to `shape`: a transposed image must be an error.
                batch.images[row] = np.asarray(pixels).reshape(pixels.height, pixels.width, -1)
                batch.labels[row] = example[label]
            bar.update(len(rows))
    return batch
