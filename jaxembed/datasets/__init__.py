"""Datasets: a name becomes arrays. The file is the name; any other name is a TFDS dataset.

Each file has `load(name, data_dir, *, <options>)`, which takes the further options of config.data and returns what
was published; the validation split is carved out here, in the same way for all. One that can leave its train images
on disk takes a third argument, `resident`.
"""

import hashlib
import importlib
import inspect
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from jaxembed import datasets
from jaxembed.core import options
from jaxembed.core.bounds import Portion, Section
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import fingerprint
from jaxembed.types import Batch, Dataset, OnDisk, Published

# The source of every dataset that has no file of its own.
OTHERS = "tfds"


def load(section: Section, *, data_dir: str | None, seed: int, resident: float = float("inf")) -> Dataset:
    """Load the dataset that config.data names, preparing and decoding it where that has not been done.

    Args:
      section: config.data, which has the dataset's name; `validation`, the number or share of the train images to
        hold out, which may be 0 and has no effect if the dataset has its own validation split; and its source's
        options.
      data_dir: the folder with prepared datasets; None is TFDS_DATA_DIR, or else ~/tensorflow_datasets, as in TFDS.
      seed: the seed that chooses the validation images.
      resident: GB of decoded train images that may be in memory; if there are more, and the source can leave them
        on disk, they are read when they are indexed (types.OnDisk).
    Raises:
      InputError: if the name is unknown or its data is not available, it is no image dataset or is damaged, or
        `validation` leaves nothing to train on.
    """
    name, given = options.named(section, what="config.data")
    sourced, carved = options.divide(given, source(name).load, _carve, what="config.data")
    published = _published(name, sourced, data_dir, resident)
    return divided(published._replace(title=published.title or name), seed=seed, **carved)


def divided(published: Published, *, seed: int, validation: Portion) -> Dataset:
    """Divide what was published into the splits that a run uses; the arguments are those of `load`."""
    kept, held_out = _carve(published, seed, validation=validation)
    train, validation, test = _kept(published.train, kept), published.validation, published.test
    names = {split: _names(published, split) for split in ("train", "validation", "test")}
    if held_out is not None:
        validation, names["validation"] = _rows(published.train, held_out), names["train"][held_out]
    names["train"] = names["train"][kept]
    sha256 = published.sha256 or fingerprint.of(published)
    return Dataset(published.title, published.classes, train, validation, test, sha256, names)


def published(section: Section, *, data_dir: str | None, resident: float, what: str) -> Published:
    """Load a dataset as it was published: as `load`, but no validation images are taken from train."""
    name, given = options.named(section, what=what)
    return _published(name, options.bind(source(name).load, given, what=what), data_dir, resident)


def source(name: str) -> ModuleType:
    """Import the source of the dataset that has this name."""
    return importlib.import_module(f"{__name__}.{name if name in sources() else OTHERS}")


def sources() -> tuple[str, ...]:
    """List the datasets that have a file of their own."""
    return tuple(name for name in options.names(datasets) if name != OTHERS)


def portion(value: float, total: int, *, what: str) -> int:
    """Return how many of a total a share or a number is; InputError if nothing would be left."""
    count = round(value * total) if value < 1 else int(value)
    if count >= total:
        raise InputError(f"{what} must be less than the {total} images there are, got {value:g}")
    return count


def by_name(names: Sequence[str], *, salt: str | int) -> np.ndarray:
    """Order rows at random, by a hash of their names: a new name changes the order of no other two."""
    keys = [hashlib.sha256(f"{salt}/".encode() + os.fsencode(name)).digest() for name in names]
    return np.array(sorted(range(len(names)), key=keys.__getitem__), int)


def _published(name: str, given: dict[str, Any], data_dir: str | None, resident: float) -> Published:
    load = source(name).load
    # Not an option of the config: it changes no value.
    limit = (resident,) if "resident" in inspect.signature(load).parameters else ()
    return load(name, data_dir, *limit, **given)


def _carve(
    published: Published, seed: int, *, validation: Portion
) -> tuple[Int[np.ndarray, " kept"] | slice, Int[np.ndarray, " held_out"] | None]:
    """Return the rows of the train images to train on, and those to validate on where they are taken from them."""
    everything = slice(None)
    if published.validation is not None:
        return everything, None
    n = len(published.train.labels)
    count = portion(validation, n, what="config.data.validation")
    if not count:
        return everything, None
    names = published.names.get("train")
    order = np.random.default_rng(seed).permutation(n) if names is None else by_name(names, salt=seed)
    return np.sort(order[count:]), np.sort(order[:count])


def _names(published: Published, split: str) -> Shaped[np.ndarray, " n"]:
    """Name the images of a published split; nothing if there is none."""
    batch = getattr(published, split)
    rows = range(0 if batch is None else len(batch.labels))
    # Not an array of texts, in which each takes as much memory as the longest.
    return np.array(published.names.get(split) or [f"{split}/{row}" for row in rows], object)


def _kept(train: Batch, rows: np.ndarray | slice) -> Batch:
    """Select train images; what is on disk stays there, and all of them are not copied."""
    if isinstance(rows, slice):
        return train
    if isinstance(train.images, OnDisk):
        return Batch(train.images.subset(rows), train.labels[rows])
    return _rows(train, rows)


def _rows(batch: Batch, rows: Any) -> Batch:
    return Batch(batch.images[rows], batch.labels[rows])
