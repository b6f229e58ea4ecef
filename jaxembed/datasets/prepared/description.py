"""The description of a prepared TFDS folder: its splits, its classes and the shape of its images."""

import collections
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed import files
from jaxembed.datasets.prepared.examples import Examples
from jaxembed.errors import InputError
from jaxembed.pictures import MODES

SPLITS = ("train", "test")


class Description(NamedTuple):
    """A prepared folder, before anything is decoded.

    Attributes:
      train: the records of this split.
      test: likewise.
      shape: (h, w, c), which every image must have.
      classes: their names.
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


def _classes(name: str, label: Any) -> tuple[str, ...]:
    if not label.num_classes:
        raise InputError(f"{name} must have classes, got none")
    classes = tuple(map(files.printable, label.names))
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
    if None in supervised[0].shape or supervised[0].np_dtype != np.uint8:
        got = f"{np.dtype(supervised[0].np_dtype).name} of shape {supervised[0].shape}"
        raise InputError(f"{name} must have uint8 images of one static shape, got {got}")
    if supervised[0].shape[-1] not in MODES:
        raise InputError(f"{name} must have grey or RGB images, 1 or 3 channels; got {supervised[0].shape[-1]}")
    if not set(SPLITS) <= set(info.splits):
        raise InputError(f"{name} must have the splits train and test, got {', '.join(info.splits) or 'none'}")
    if (got := info.file_format and info.file_format.value) != "array_record":
        raise InputError(
            f"{name} must be prepared as array_record, got {got} in {info.data_dir}; remove that folder and run "
            f"`tfds build {name} --file_format=array_record`, which needs TensorFlow"
        )
    return keys
