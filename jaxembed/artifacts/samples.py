"""sample.npz: some held-out images and the outputs of a run for them; all that its figures are drawn from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from jaxembed import pictures
from jaxembed.core import files, npz
from jaxembed.core.errors import InputError

FILE = "sample.npz"
# Classes of a confusion matrix at most: with more it is too large for a file of examples, and for a figure.
CONFUSED = 1000
# Of what is drawn: coordinates of t-SNE are in the hundreds, distances in the thousands.
LARGEST = 1e12


class Sample(NamedTuple):
    """n test images, their positions relative to each other, and examples of what the network does.

    They are from the validation split if there is no test split, and from the train split if there is neither. What
    goes by labels is None without them.

    Attributes:
      classes: [k] names; none without labels.
      rows: [n] indices into the split.
      images: [n, h, w, c], or None, as are `queries` and `found`, where only embeddings are known.
      labels: [n], or None.
      predicted: [n] classes by nearest neighbours, or None.
      points: [n, 2] t-SNE of the embeddings.
      nearest: [n, near] the nearest others in the sample, as indices into it.
      same: [bins] share of the same-class pairs between two edges, or None.
      different: [bins] share of the different-class pairs, or None.
      edges: [bins + 1] of the distances between two images of the sample, or None.
      confusion: [k, k] number of test images of a class (row) that the MLP probe assigns to a class (column); None
        beyond 1,000 classes, and without labels.
      queries: [q, h, w, c] one test image of each of the first classes; without labels, the first ones.
      query_labels: [q], or None.
      found: [q, found, h, w, c] their nearest train images, nearest first.
      found_labels: [q, found], or None.
      seen: [1 + views, across, h, w, c] train images, and below each the views of it that the network is trained
        on; None without augmentation.
      errors: [3, across] L1 of the test images that are reconstructed best, at the median, and worst; None
        unless the objective predicts images.
      originals: [3, across, h, w, c] those images.
      reconstructions: [3, across, h, w, c] their reconstructions.
    """

    classes: Shaped[np.ndarray, " k"]
    rows: Int[np.ndarray, " n"]
    images: UInt8[np.ndarray, "n h w c"] | None
    labels: Int[np.ndarray, " n"] | None
    predicted: Int[np.ndarray, " n"] | None
    points: Float[np.ndarray, "n 2"]
    nearest: Int[np.ndarray, "n near"]
    same: Float[np.ndarray, " bins"] | None
    different: Float[np.ndarray, " bins"] | None
    edges: Float[np.ndarray, " edges"] | None
    confusion: Int[np.ndarray, "k k"] | None
    queries: UInt8[np.ndarray, "q h w c"] | None
    query_labels: Int[np.ndarray, " q"] | None
    found: UInt8[np.ndarray, "q found h w c"] | None
    found_labels: Int[np.ndarray, "q found"] | None
    seen: UInt8[np.ndarray, "rows columns h w c"] | None
    errors: Float[np.ndarray, "3 across"] | None
    originals: UInt8[np.ndarray, "3 across h w c"] | None
    reconstructions: UInt8[np.ndarray, "3 across h w c"] | None


BY_LABEL = ("labels", "predicted", "same", "different", "edges", "confusion", "query_labels", "found_labels")
PICTURES = ("images", "queries", "found")
PICTURED = (*PICTURES, "seen", "originals", "reconstructions")
RECONSTRUCTED = ("errors", "originals", "reconstructions")
# An image may have no neighbours, and images no classes.
MAY_BE_EMPTY = ("classes", "nearest", "found", "found_labels")
OPTIONAL = (*BY_LABEL, *PICTURES, "seen", *RECONSTRUCTED)


def write(sample: Sample, folder: Path) -> None:
    """Write the sample into a run's folder, whole or not at all, with thumbnails of its images."""
    arrays = {name: array for name, array in sample._asdict().items() if array is not None}
    arrays |= {name: pictures.thumbnails(arrays[name]) for name in PICTURED if name in arrays}
    with files.replacing(folder / FILE) as partial:
        np.savez_compressed(partial, **arrays)


def read(folder: Path) -> Sample:
    """Read the sample in a run's folder.

    Raises:
      InputError: if there is none, or it is damaged.
    """
    file = folder / FILE
    if not file.exists():
        raise InputError(f"{folder} has no {FILE}; launch.py --evaluate writes it")
    try:
        arrays = npz.read(file)
        there = {name: arrays[name] for name in Sample._fields if name in arrays or name not in OPTIONAL}
        if len(there["classes"]) > CONFUSED:
            there.pop("confusion", None)  # an earlier version wrote it
        sample = Sample(**dict.fromkeys(OPTIONAL) | there)
    except Exception as error:  # a damaged zip file raises nearly anything
        reason = files.line(f"{type(error).__name__}: {error}")
        raise InputError(f"{file} is damaged ({reason}); launch.py --evaluate writes it") from error
    if wrong := _wrong(sample):
        raise InputError(f"{file} is damaged: {wrong}; launch.py --evaluate writes it")
    return sample


def _wrong(sample: Sample) -> str | None:
    """Say what is wrong with a sample that was read; None if it is sound."""
    present = {name: array for name, array in sample._asdict().items() if array is not None}
    for together in (set(BY_LABEL) - {"confusion"}, set(PICTURES), set(RECONSTRUCTED)):
        if (missing := together - present.keys()) and missing != together:
            return f"it lacks {', '.join(sorted(missing))}"
    lengths: dict[str, int] = {}
    for name, array in present.items():
        if not _fits(array, Sample.__annotations__[name], lengths):
            return f"{name}, {array.dtype} of shape {list(array.shape)}, does not fit what comes before it"
    try:
        for name in PICTURED:
            if name in present:
                npz.require_pictures(name, present[name])
    except ValueError as error:
        return str(error)
    if empty := [name for name, array in present.items() if not array.size and name not in MAY_BE_EMPTY]:
        return f"{empty[0]} is empty"
    return _wrong_values(sample, present)


def _wrong_values(sample: Sample, present: Mapping[str, np.ndarray]) -> str | None:
    """Name an array with values that it must not have, such as labels beyond the classes; None if there is none."""
    k, n = len(sample.classes), len(sample.rows)
    if sample.classes.dtype.kind != "U":
        return f"classes are {sample.classes.dtype} rather than texts"
    if (sample.labels is None) != (k == 0):
        return f"it has {k} classes and {'no' if sample.labels is None else 'some'} labels"
    limits = dict.fromkeys(("labels", "predicted", "query_labels", "found_labels"), k) | {"nearest": n}
    for name, limit in limits.items():
        if name in present and not ((present[name] >= 0) & (present[name] < limit)).all():
            return f"{name} must be from 0 to {limit - 1}"
    for name in ("points", "same", "different", "edges", "errors"):
        if name in present and not (np.abs(present[name].astype(float)) <= LARGEST).all():  # NaN is not
            return f"{name} must be finite"
    edges = sample.edges
    if edges is not None and (len(edges) != len(sample.same) + 1 or not (np.diff(edges) > 0).all()):
        return "its edges must rise, and be one more than the shares between them"
    return None


def _fits(array: np.ndarray, annotation: Any, lengths: dict[str, int]) -> bool:
    """Whether an array has the annotated type and shape; an axis has one length in all arrays.

    `jaxtyping.jaxtyped` could compare the lengths, but imports jax.
    """
    if not isinstance(array, annotation):
        return False
    (dims,) = {each.dim_str for each in (annotation, *get_args(annotation)) if hasattr(each, "dim_str")}
    axes = zip(dims.split(), array.shape, strict=True)
    return all(lengths.setdefault(axis, length) == length for axis, length in axes if not axis.isdigit())
