"""Datasets: a name becomes arrays. The file is the name; any other name is a TFDS dataset.

Each file has `load(name, data_dir, *, <options>)`, which takes the further options of config.data and returns what
was published; the validation split is carved out here, in the same way for all.
"""

import importlib
from typing import Any, NamedTuple

import numpy as np

from jaxembed import datasets, options
from jaxembed.errors import InputError
from jaxembed.types import Batch, Section

# The source of every dataset that has no file of its own.
OTHERS = "tfds"


class Dataset(NamedTuple):
    """Images uint8 [n, h, w, c] and labels int32 [n] on the host, in three splits; classes[label] is its name."""

    name: str
    classes: tuple[str, ...]
    train: Batch
    validation: Batch
    test: Batch


def load(section: Section, *, data_dir: str | None, seed: int) -> Dataset:
    """Load the dataset that config.data names, preparing and decoding it where that has not been done.

    Args:
      section: config.data: its name; `validation`, the number of train images to hold out; its source's options.
      data_dir: where prepared datasets are; None is TFDS_DATA_DIR, or else ~/tensorflow_datasets, as in TFDS.
      seed: of the choice of the validation images.
    Raises:
      InputError: if the name is unknown or its data is not available, it is no image classification dataset or is
        damaged, or `validation` is not between 1 and the number of train images less one.
    """
    what = "config.data"
    name, given = options.named(section, what=what)
    source = importlib.import_module(f"{datasets.__name__}.{name if name in sources() else OTHERS}")
    sourced, carved = options.divide(given, source.load, _carve, what=what)
    published = source.load(name, data_dir, **sourced)
    train, validation = _carve(published.train, seed, **carved)
    return Dataset(name, published.classes, train, validation, published.test)


def sources() -> tuple[str, ...]:
    """List the datasets that have a file of their own."""
    return tuple(name for name in options.names(datasets) if name != OTHERS)


def _carve(train: Batch, seed: int, *, validation: int) -> tuple[Batch, Batch]:
    """Hold out as many train images: (the rest, those images)."""
    n = len(train.labels)
    if not 1 <= validation < n:
        raise InputError(f"config.data.validation must be between 1 and {n - 1}, got {validation}")
    order = np.random.default_rng(seed).permutation(n)
    return _rows(train, np.sort(order[validation:])), _rows(train, np.sort(order[:validation]))


def _rows(batch: Batch, rows: Any) -> Batch:
    return Batch(batch.images[rows], batch.labels[rows])
