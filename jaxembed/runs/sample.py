"""sample.npz: some held-out images and the outputs of a run for them; all that its figures are drawn from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxembed import files
from jaxembed.errors import InputError

FILE = "sample.npz"


class Sample(NamedTuple):
    """n test images, their positions relative to each other, and examples of what the network does.

    They are from the validation split if there is no test split, and from the train split if there is neither. What
    goes by labels is None without them.

    Attributes:
      classes: [k] names; none without labels.
      rows: [n] indices into the split.
      images: [n, h, w, c].
      labels: [n], or None.
      predicted: [n] classes by nearest neighbours, or None.
      points: [n, 2] t-SNE of the embeddings.
      nearest: [n, near] the nearest others in the sample, as indices into it.
      edges: [bins + 1] of the distances between two images of the sample, or None.
      same: [bins] share of the same-class pairs between two edges, or None.
      different: [bins] share of the different-class pairs, or None.
      confusion: [k, k] number of test images of a class (row) that the MLP probe assigns to a class (column), or
        None.
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

    classes: np.ndarray
    rows: Int[np.ndarray, " n"]
    images: UInt8[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, " n"] | None
    predicted: Int[np.ndarray, " n"] | None
    points: Float[np.ndarray, "n 2"]
    nearest: Int[np.ndarray, "n near"]
    edges: Float[np.ndarray, " edges"] | None
    same: Float[np.ndarray, " bins"] | None
    different: Float[np.ndarray, " bins"] | None
    confusion: Int[np.ndarray, "k k"] | None
    queries: UInt8[np.ndarray, "q h w c"]
    query_labels: Int[np.ndarray, " q"] | None
    found: UInt8[np.ndarray, "q found h w c"]
    found_labels: Int[np.ndarray, "q found"] | None
    seen: UInt8[np.ndarray, "views across h w c"] | None
    errors: Float[np.ndarray, "3 across"] | None
    originals: UInt8[np.ndarray, "3 across h w c"] | None
    reconstructions: UInt8[np.ndarray, "3 across h w c"] | None


BY_LABEL = ("labels", "predicted", "edges", "same", "different", "confusion", "query_labels", "found_labels")
OPTIONAL = (*BY_LABEL, "seen", "errors", "originals", "reconstructions")


def write(sample: Sample, folder: Path) -> None:
    """Write the sample into a run's folder, whole or not at all."""
    arrays = {name: array for name, array in sample._asdict().items() if array is not None}
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
        with np.load(file) as arrays:
            there = {name: arrays[name] for name in Sample._fields if name in arrays or name not in OPTIONAL}
            return Sample(**dict.fromkeys(OPTIONAL) | there)
    except Exception as error:  # a damaged zip file raises nearly anything
        raise InputError(f"{file} is damaged ({type(error).__name__}); launch.py --evaluate writes it") from error
