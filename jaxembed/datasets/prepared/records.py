"""Decodes the ArrayRecord files of a prepared TFDS folder to arrays, without TensorFlow."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from PIL import Image

from jaxembed.errors import InputError
from jaxembed.types import Batch, Published

# Pillow's modes by number of channels; images are converted to them because a PNG may hold a palette instead.
_MODES = {1: "L", 3: "RGB"}
_DECODED_AT_ONCE = 2000


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
    if supervised[0].shape[-1] not in _MODES:
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
                pixels = Image.open(io.BytesIO(example[image])).convert(_MODES[shape[-1]])
                # Not reshaped to `shape`, because a transposed image must be an error.
                batch.images[row] = np.asarray(pixels).reshape(pixels.height, pixels.width, -1)
                batch.labels[row] = example[label]
            bar.update(len(rows))
    return batch
