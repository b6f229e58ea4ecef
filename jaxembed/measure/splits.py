"""Given vectors: embeddings that were made elsewhere, read from arrays, checked, and divided into splits."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.embed import foreign
from jaxembed.embed.foreign import Columns
from jaxembed.embed.vectors import About
from jaxembed.kernels import space
from jaxembed.measure import arrays
from jaxembed.types import Batch, Dataset, Published

MOST_CLASSES = 2**31 - 1


class Given(NamedTuple):
    """Embedded images.

    Attributes:
      dataset: their labels, names and, if known, images; else its images are None.
      embeddings: split -> [n, d] float32.
      sha256: the hash of the vectors and labels.
      about: their origin, if jaxembed.embed wrote them.
    """

    dataset: Dataset
    embeddings: dict[str, Float[np.ndarray, "n d"]]
    sha256: str
    about: About | None


def read(source: Path, *, title: str, seed: int, validation: float, columns: Columns = foreign.ANY) -> Given:
    """Read vectors and divide them into splits.

    Args:
      source: an .npz with the arrays `train`, `train_labels`, `test`, `test_labels`, and perhaps `validation`,
        `<split>_images`, `<split>_names` and `classes`; a folder with one .npy for each; or a file of vectors
        whose names begin with their splits.
      title: the dataset's title.
      seed: the seed that chooses the validation images.
      validation: number or share of the train images to hold out, as config.data.validation.
      columns: the arrays or columns to read of a file of vectors from elsewhere.

    Raises:
      InputError: if there is no such file or folder, it lacks an array, or one is not what it must be.
    """
    given, about = arrays.read(source, columns)
    points = {split: _points(source, split, given[split]) for split in arrays.SPLITS if split in given}
    widths = {split: each.shape[1] for split, each in points.items()}
    if len({*widths.values()}) > 1:
        listed = ", ".join(f"{split} {width}" for split, width in widths.items())
        raise InputError(f"{source}: all splits must have the same number of dimensions, got {listed}")
    for name, array in given.items():
        split, _, part = name.partition("_")
        if part in arrays.PARTS and split in points and array.shape[:1] != points[split].shape[:1]:
            got = len(array) if array.ndim else "a single value"
            raise InputError(
                f"{source}: {name} must have a row for each of {split}'s {len(points[split])}, got {got}"
            )
    _check_names(source, {split: given[f"{split}_names"] for split in points if f"{split}_names" in given})
    _check_images(source, {split: given.get(f"{split}_images") for split in points})
    classes, labels = _labels(source, {split: given[f"{split}_labels"] for split in points}, given.get("classes"))
    digest = hashlib.sha256()
    for split in points:
        digest.update(points[split])
        digest.update(labels[split])
    # Rows take the place of images, so that what is divided is known afterwards.
    rows = {split: Batch(np.arange(len(labels[split])), labels[split]) for split in points}
    names = {split: tuple(map(str, given[f"{split}_names"])) for split in points if f"{split}_names" in given}
    published = Published(
        classes, rows["train"], rows["test"], rows.get("validation"), names, title, digest.hexdigest()
    )
    dataset = datasets.divided(published, seed=seed, validation=validation)
    return _filled(dataset, points, given, about)


def _filled(
    dataset: Dataset, points: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], about: About | None
) -> Given:
    """Put images, or None, in the place of the rows of a dataset, and take the embeddings of its splits."""
    embeddings, splits = {}, {}
    for name in ("train", *dataset.held_out):
        batch = getattr(dataset, name)
        source = name if name in points else "train"
        images = given.get(f"{source}_images")
        splits[name] = batch._replace(images=None if images is None else images[batch.images])
        embeddings[name] = points[source][batch.images]
    return Given(dataset._replace(**splits), embeddings, dataset.sha256, about)


def _points(source: Path, split: str, array: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Check an embedding: numbers [n, d] that are finite and not too large."""
    if array.ndim != 2 or not array.size or len(array) < 2 or array.dtype.kind not in "fiu":
        raise InputError(
            f"{source}: {split} must be numbers [n, d] in at least 2 rows, got {array.dtype} of shape "
            f"{list(array.shape)}"
        )
    with np.errstate(over="ignore"):
        points = np.ascontiguousarray(array, np.float32)
    usable = space.is_usable(points)
    if not usable.all():
        row = int(np.argmin(usable))
        bad = np.abs(points[~usable]) <= space.LARGEST
        raise InputError(
            f"{source}: {split} must be finite and within {space.LARGEST:g}; {np.sum(~bad)} numbers in "
            f"{np.sum(~usable)} of {len(points)} rows are not, the first one in row {row}"
        )
    return points


def _check_names(source: Path, given: Mapping[str, np.ndarray]) -> None:
    """Raise an InputError unless the names of images are texts."""
    for split, names in given.items():
        if names.ndim != 1 or names.dtype.kind != "U":
            raise InputError(
                f"{source}: {split}_names must be texts [n], got {names.dtype} of shape {list(names.shape)}"
            )


def _check_images(source: Path, given: Mapping[str, np.ndarray | None]) -> None:
    """Raise an InputError unless all splits have images of one shape, or none has any."""
    there = {split: images for split, images in given.items() if images is not None}
    for split, images in there.items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
            raise InputError(
                f"{source}: {split}_images must be uint8 [n, h, w, c] with 1 or 3 channels, got {images.dtype} of "
                f"shape {list(images.shape)}"
            )
    if there and (there.keys() != given.keys() or len({images.shape[1:] for images in there.values()}) > 1):
        raise InputError(f"{source} must have images of one shape for all of {', '.join(given)}, or none")


def _labels(
    source: Path, given: Mapping[str, np.ndarray], names: np.ndarray | None
) -> tuple[tuple[str, ...], dict[str, Int[np.ndarray, " n"]]]:
    """Return the classes' names and, by split, the labels as numbers of classes."""
    for split, array in given.items():
        if array.ndim != 1 or array.dtype.kind not in "iuU" or (array.dtype.kind != "U" and array.min() < 0):
            least = f", {array.min()} among them" if array.dtype.kind in "iu" and array.size else ""
            raise InputError(
                f"{source}: {split}_labels must be whole numbers from 0, or texts, [n]; got {array.dtype} of shape "
                f"{list(array.shape)}{least}"
            )
    if len({array.dtype.kind == "U" for array in given.values()}) > 1:
        raise InputError(f"{source}: the labels of all splits must be texts, or all numbers")
    if any(array.dtype.kind in "iu" and array.max() > MOST_CLASSES for array in given.values()):
        raise InputError(f"{source}: labels that are numbers must be at most {MOST_CLASSES}")
    # One type: NumPy makes floats of signed and unsigned numbers together.
    given = {split: array if array.dtype.kind == "U" else array.astype(np.int64) for split, array in given.items()}
    values = np.unique(np.concatenate([*given.values()]))
    if names is None:
        known = values
    elif names.ndim == 1 and names.dtype.kind == "U" and len(names) == len(set(names.tolist())):
        known = names if values.dtype.kind == "U" else np.arange(len(names))
    else:
        raise InputError(
            f"{source}: classes must be different texts [k], got {names.dtype} of shape {list(names.shape)}"
        )
    if len(beyond := np.setdiff1d(values, known)):
        raise InputError(f"{source}: each label must be one of the {len(known)} classes, got {beyond[0]}")
    if (count := len(np.unique(given["train"]))) < 2:
        raise InputError(f"{source}: train_labels must have at least 2 classes, got {count}")
    order = np.argsort(known, kind="stable")
    numbers = {
        split: order[np.searchsorted(known, array, sorter=order)].astype(np.int32) for split, array in given.items()
    }
    return tuple(map(str, known if names is None else names)), numbers
