"""Decodes the ArrayRecord files of a prepared TFDS folder to arrays, without TensorFlow, and caches them."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from PIL import Image

from jaxembed import cache
from jaxembed.errors import InputError
from jaxembed.pictures import MODES
from jaxembed.types import Batch, Published

_FORMAT = 1
_DECODED_AT_ONCE = 2000


def load(name: str, folder: Path) -> Published:
    """Read the decoded arrays from the data's folder or the user's cache, or else decode and write them.

    Raises:
      InputError: if the dataset is no image classification dataset, or is damaged.
    """
    stems = [folder / "jaxembed", cache.user_stem(f"{name}-{folder.name}", folder)]
    arrays = cache.load(stems, _key(folder), lambda: _arrays(decode(name, folder)), what=name)
    train, test = (Batch(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
    return Published(tuple(arrays["classes"].tolist()), train, test)


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
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        image, label = _supervised(name, builder.info)
        # We decode the image's bytes ourselves, because TFDS would log advice to install opencv.
        decoders = {image: tfds.decode.SkipDecoding()}
        sources = (builder.as_data_source(split, decoders=decoders) for split in ("train", "test"))
        shape = builder.info.features[image].shape
        train, test = (_decode_split(source, image, label, shape) for source in sources)
        if min(train.labels.min(), test.labels.min()) < 0:
            raise InputError(f"{name} must have a label for every image, got -1 for some")
        return Published(tuple(builder.info.features[label].names), train, test)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # protobuf, array_record and Pillow each raise their own type
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder} cannot be read ({reason}); if it is damaged, remove it and prepare {name} again"
        ) from error


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


def _decode_split(source: Any, image: str, label: str, shape: tuple[int, int, int]) -> Batch:
    n = len(source)
    batch = Batch(np.empty((n, *shape), np.uint8), np.empty(n, np.int32))
    with tqdm.tqdm(total=n, desc=f"decoding {source.split}", unit=" images", disable=None) as bar:
        for start in range(0, n, _DECODED_AT_ONCE):
            rows = range(start, min(start + _DECODED_AT_ONCE, n))
            for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
                # A PNG may hold a palette instead of the mode.
                pixels = Image.open(io.BytesIO(example[image])).convert(MODES[shape[-1]])
                # Not reshaped to `shape`, because a transposed image must be an error.
                batch.images[row] = np.asarray(pixels).reshape(pixels.height, pixels.width, -1)
                batch.labels[row] = example[label]
            bar.update(len(rows))
    return batch
