"""The description of a prepared TFDS folder: its splits, its classes and the shape of its images."""

import collections
import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage.examples import Examples
from jaxembed.pictures import MODES

SPLITS = ("train", "test")
_MOST_CLASSES = 10**6
# Names that an error lists.
_SHOWN = 10


class Description(NamedTuple):
    """A prepared folder, before anything is decoded.

    Attributes:
      train: the records of the train split.
      test: the records of the test split.
      shape: (h, w, c), which every image must have.
      classes: the classes' names.
    """

    train: Examples
    test: Examples
    shape: tuple[int, int, int]
    classes: tuple[str, ...]


def read(name: str, folder: Path) -> Description:
    """Read the metadata of a folder; the builder's code is not needed, because the folder describes its contents.

    Raises:
      InputError: if it is no image classification dataset, or a split is empty.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    image, label = _supervised(name, builder.info)
    features = builder.info.features
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    splits = [
        Examples(builder.as_data_source(split, deserialize_method=raw), features[image], keys=(image, label))
        for split in SPLITS
        if builder.info.splits[split].num_examples
    ]
    if len(splits) < len(SPLITS):
        counts = ", ".join(f"{builder.info.splits[split].num_examples} in {split}" for split in SPLITS)
        raise InputError(f"{name} must have images in the splits {' and '.join(SPLITS)}, got {counts}")
    return Description(*splits, features[image].shape, _classes(name, features[label]))


def listed(names: Collection[str]) -> str:
    """List the first few names for an error."""
    some = ", ".join(map(files.printable, itertools.islice(names, _SHOWN)))
    return f"{some} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else some or "none"


def _classes(name: str, label: Any) -> tuple[str, ...]:
    # Without names, TFDS makes up one for each number.
    if not 0 < (label.num_classes or 0) <= _MOST_CLASSES:
        raise InputError(f"{name} must have 1 to {_MOST_CLASSES} classes, got {label.num_classes}")
    classes = tuple(map(files.printable, label.names))
    if len(classes) != label.num_classes:
        raise InputError(f"{name} must have a name for each of its {label.num_classes} classes, got {len(classes)}")
    ((common, count),) = collections.Counter(classes).most_common(1)
    if count > 1:
        raise InputError(f"{name} must have class names that differ, got {common!r} {count} times")
    return classes


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
    shape = supervised[0].shape
    if len(shape) != 3 or not all(shape) or supervised[0].np_dtype != np.uint8:
        got = f"{np.dtype(supervised[0].np_dtype).name} of shape {shape}"
        raise InputError(f"{name} must have uint8 images of one static shape, got {got}")
    if shape[-1] not in MODES:
        raise InputError(f"{name} must have grey or RGB images, 1 or 3 channels; got {shape[-1]}")
    if not set(SPLITS) <= set(info.splits):
        raise InputError(f"{name} must have the splits train and test, got {listed(info.splits)}")
    if (got := info.file_format and info.file_format.value) != "array_record":
        raise InputError(
            f"{name} must be prepared as array_record, got {got} in {info.data_dir}; remove that folder and run "
            f"`tfds build {name} --file_format=array_record`, which needs TensorFlow"
        )
    return keys
