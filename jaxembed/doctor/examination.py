"""The doctor: likely errors of a dataset, found in its embedding. Arrays in, ranked tables out.

Near-duplicates within a split and across splits; labels that neither the neighbours nor a classifier agree with;
images that are far from all others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from jaxembed import pictures
from jaxembed.artifacts.diagnosis import KINDS, ROWS, Diagnosis, Table
from jaxembed.doctor import duplicates, labels
from jaxembed.kernels import nearest, outliers, space
from jaxembed.types import Batch, Dataset

# Rows of a table whose images are kept with it.
SHOWN = 24
# Images that are examined at most, a random part of more: each is compared with all others.
MOST = 100_000
NEIGHBOURS = 10


def examine(
    dataset: Dataset, embeddings: Mapping[str, Float[np.ndarray, "n d"]], *, distance: str, rows: int = ROWS
) -> Diagnosis:
    """Examine the splits of a dataset that are embedded, all together.

    Args:
      dataset: its images may be None.
      embeddings: split -> [n, d].
      distance: "cosine" or "euclidean", the distance by which the embeddings are compared.
      rows: how many rows a table has at most.

    Returns:
      the tables that have any row; none for fewer than 3 images.
    """
    pool = _Pool.of(dataset, embeddings, distance=distance)
    n, total = len(pool.rows), sum(map(len, embeddings.values()))
    classes = np.array(dataset.classes, str)
    if n < 3:  # no row has a neighbour and another one
        return Diagnosis(classes, (n, total), {})
    k = min(NEIGHBOURS, n - 1)
    found, apart = nearest.others(pool.points, neighbours=k)
    verdict = labels.judge(pool.points, pool.labels, found) if _has_labels(pool) else None
    known = math.nan if verdict is None else float(np.mean(verdict.proposed == pool.labels))
    tables = {
        "leaks": _pairs(pool, duplicates.across(pool.points, pool.parts, neighbours=k), rows),
        "duplicates": _pairs(pool, duplicates.within(found, apart, pool.parts), rows),
        "labels": None if verdict is None else _labels(pool, verdict, rows),
        "outliers": _outliers(pool, apart, rows),
    }
    kept = {name: tables[name] for name in KINDS if tables[name] is not None}
    return Diagnosis(classes, (n, total), kept, known)


def shown(split: str, name: str) -> str:
    """Return an image's name in the tables: with its split where that is held out and its name does not say so.

    A folder may call the splits in other ways, so `val/1.png` is `val/1.png (validation)`.
    """
    return name if split == "train" or name.lower().startswith(f"{split}/") else f"{name} ({split})"


class _Pool(NamedTuple):
    """Rows of all splits.

    Attributes:
      splits: each split's images and labels.
      names: each split's name and those of its images.
      parts: [n] the index of the split that a row is from.
      rows: [n] the row in that split.
      points: [n, d] the embedding in the space of the distance.
      labels: [n].
    """

    splits: tuple[Batch, ...]
    names: tuple[tuple[str, Sequence[str] | Shaped[np.ndarray, " n"]], ...]
    parts: Int[np.ndarray, " n"]
    rows: Int[np.ndarray, " n"]
    points: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, dataset: Dataset, embeddings: Mapping[str, Any], *, distance: str) -> "_Pool":
        """Put all rows of the splits together, or a random part of them."""
        splits = tuple(getattr(dataset, name) for name in embeddings)
        counts = [len(points) for points in embeddings.values()]
        parts, rows = np.repeat(np.arange(len(counts)), counts), np.concatenate([*map(np.arange, counts)])
        points = np.concatenate([*embeddings.values()])
        given = np.concatenate([split.labels for split in splits])
        if len(rows) > MOST:
            chosen = np.sort(np.random.default_rng(0).choice(len(rows), MOST, replace=False))
            parts, rows, points, given = (array[chosen] for array in (parts, rows, points, given))
        names = tuple((name, dataset.names_of(name)) for name in embeddings)
        return cls(splits, names, parts, rows, space.of(points, distance=distance), given)

    def table(
        self,
        chosen: Int[np.ndarray, "m i"],
        scores: Mapping[str, Float[np.ndarray, " m"]],
        proposed: Int[np.ndarray, " m"] | None = None,
    ) -> Table:
        """Make the table of some rows."""
        names = np.array([[self.name(row) for row in each] for each in chosen], str)
        shown = None if self.splits[0].images is None else pictures.thumbnails(self.images(chosen[:SHOWN]))
        scores = {name: values.astype(np.float32) for name, values in scores.items()}
        proposed = None if proposed is None else proposed.astype(np.int64)
        return Table(names, self.labels[chosen].astype(np.int64), scores, shown, proposed)

    def name(self, row: int | np.integer) -> str:
        """Name the image of a row, with its split where that is held out and its name does not say so."""
        split, names = self.names[self.parts[row]]
        return shown(split, str(names[self.rows[row]]))

    def images(self, chosen: Int[np.ndarray, "m i"]) -> np.ndarray:
        """Read the images of some rows, [m, i, h, w, c]."""
        flat = chosen.ravel()
        first, *_ = (split.images for split in self.splits)
        read = np.empty((len(flat), *first.shape[1:]), np.uint8)
        for part, split in enumerate(self.splits):
            at = np.flatnonzero(self.parts[flat] == part)
            if len(at):
                read[at] = split.images[self.rows[flat[at]]]
        return read.reshape(*chosen.shape, *first.shape[1:])


def _pairs(pool: _Pool, found: duplicates.Pairs, most: int) -> Table | None:
    """Rank the nearest pairs by their pixels, if there are images; else they stay in the order they are in."""
    if not len(found.rows):
        return None
    alike = np.full(len(found.rows), np.nan, np.float32)
    if pool.splits[0].images is not None:
        found, alike = duplicates.by_pixels(found, pool.images)
    rows, distances, relative = (array[:most] for array in found)
    return pool.table(rows, {"likeness": alike[:most], "distance": distances, "relative": relative})


def _has_labels(pool: _Pool) -> bool:
    """Return whether all rows have a label, of two classes or more, and are enough for a classifier."""
    present = np.unique(pool.labels)
    return len(present) > 1 and present[0] >= 0 and len(pool.labels) >= 2 * labels.FOLDS


def _labels(pool: _Pool, verdict: labels.Verdict, most: int) -> Table | None:
    """Rank the labels that have the least support among those for which the classifier proposes another class."""
    doubted = np.flatnonzero(verdict.proposed != pool.labels)
    order = doubted[np.argsort(verdict.support[doubted], kind="stable")][:most]
    if not len(order):
        return None
    scores = {"support": verdict.support, "confidence": verdict.confidence, "agreement": verdict.agreement}
    return pool.table(
        order[:, None], {name: values[order] for name, values in scores.items()}, verdict.proposed[order]
    )


def _outliers(pool: _Pool, apart: Float[np.ndarray, "n k"], most: int) -> Table:
    remoteness = outliers.remoteness(apart)
    order = np.argsort(-remoteness, kind="stable")[:most]
    return pool.table(order[:, None], {"remoteness": remoteness[order]})
