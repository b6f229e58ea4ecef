"""Fingerprint: a hash that tells whether two datasets have the same contents."""

import hashlib
import json

import numpy as np
import tqdm

from jaxembed.types import Published

# Images hashed at a time, which are all that is in memory of images on disk.
_AT_ONCE = 1000


def of(published: Published) -> str:
    """Hash all images, labels and class names of a dataset.

    The names of the images are part of it only where the choice of the validation images depends on them. It makes
    no difference where the data is, when it was written, or whether the images are in memory or on disk; images on
    disk are all decoded once, on all cores.

    Returns:
      SHA-256, hexadecimal.
    Raises:
      InputError: if an image on disk cannot be read.
    """
    splits = {split: getattr(published, split) for split in ("train", "validation", "test")}
    shapes = {split: batch and batch.images.shape for split, batch in splits.items()}
    names = published.names.get("train") if published.validation is None else None
    digest = hashlib.sha256(json.dumps([published.classes, shapes, names]).encode())
    for split, batch in splits.items():
        if batch is None:
            continue
        n = len(batch.labels)
        with tqdm.tqdm(total=n, desc=f"checking {split}", unit=" images", disable=None, delay=1) as bar:
            for start in range(0, n, _AT_ONCE):
                images = batch.images[start : start + _AT_ONCE]
                digest.update(np.ascontiguousarray(images))
                bar.update(len(images))
        digest.update(np.ascontiguousarray(batch.labels, "<i4"))
    return digest.hexdigest()
