"""A dataset's name becomes arrays: TFDS's ArrayRecord folders, decoded once, without TensorFlow."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed import options
from jaxembed.datasets.prepared import cache
from jaxembed.datasets.prepared.records import Published
from jaxembed.types import Batch, InputError


class Dataset(NamedTuple):
    """Images uint8 [n, h, w, c] and labels int32 [n] on the host, in three splits; classes[label] is its name."""

    name: str
    classes: tuple[str, ...]
    train: Batch
    validation: Batch
    test: Batch


def load(name: str, *, data_dir: str | None, validation: int, seed: int) -> Dataset:
    """Load a dataset by its TFDS name, preparing and decoding it where that has not been done.

    Args:
      name: `digits` (inside scikit-learn; 8×8, no files), a name or name/config prepared under the data dir
        as ArrayRecord, or one of download.SOURCES, which is then downloaded.
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
        splits = cache.load(name, _find(name, Path(root).expanduser()))
    train, held_out = _carve(splits.train, validation, seed)
    return Dataset(name, splits.classes, train, held_out, splits.test)


def _digits() -> Published:
    from sklearn import datasets

    digits = datasets.load_digits()
    batch = Batch(np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target.astype(np.int32))
    # No split is published. The rows are "apparently grouped by authors" (scikit-learn's test_split.py), so
    # the tail holds hands that the rest mostly does not, where a random fifth would share them.
    return Published(
        tuple(map(str, digits.target_names)), _rows(batch, slice(-360)), _rows(batch, slice(-360, None))
    )


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

    from jaxembed.datasets.prepared import download

    known = dict.fromkeys(("digits", *download.SOURCES, *prepared))
    if name not in known and name.split("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise InputError(
            f"{name} is not prepared in {root} (there is: {', '.join(prepared) or 'nothing'}); prepare it with "
            f"`tfds build {name} --file_format=array_record --data_dir={root}`, which needs TensorFlow"
        )
    options.choose(name, known, what="config.data.name")
    return download.prepare(name, root)


def _prepared(root: Path) -> dict[str, Path]:
    """Map each name or name/config to its latest version; TFDS writes in another folder and renames it last."""
    files = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    folders = [file.parent for file in files if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
    folders.sort(key=lambda folder: [int(number) for number in folder.name.split(".")])
    latest = {folder.parent.relative_to(root).as_posix(): folder for folder in folders}
    return dict(sorted(latest.items()))
