"""Retrieval: each row of an embedding is a query for the other rows in its class."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 50
LABELLED = True
COLUMNS = (
    Column(
        "recall_at_1",
        label="R@1 %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="Images whose nearest other image has their class.",
    ),
    Column(
        "recall_at_5",
        label="R@5 %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="Images with one of their class among the 5 nearest others.",
    ),
    Column(
        "recall_at_10",
        label="R@10 %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="Images with one of their class among the 10 nearest others.",
    ),
    Column(
        "map_at_r",
        label="MAP@R %",
        better=1,
        percent=True,
        table="accuracy",
        meaning="How purely an image's nearest others share its class.",
    ),
)
RECALLS = (1, 5, 10)


def fit(train: Rows, *, distance: str) -> Measure:
    """Make the measure of a split's retrieval; the train split is not used."""
    return lambda rows: Measured(measure(rows.points, rows.labels, distance=distance))


def measure(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], *, distance: str
) -> dict[str, float]:
    """Measure recall@1, recall@5, recall@10 and MAP@R over all rows as queries among all other rows.

    recall@k is the share of queries with a row in their class among the k nearest. For a query whose class has
    R other rows, AP@R is the sum over ranks i = 1..R of precision@i where the row at that rank is in its class,
    divided by R; MAP@R is its mean. Ties count against, as far as float32 can tell: of equally near rows, those in
    other classes come first, so a collapsed embedding scores 0.

    Args:
      embeddings: [n, d] float.
      labels: [n] int; a row that is the only one in its class can be retrieved, but is not a query.
      distance: "cosine" or "euclidean".

    Returns:
      `recall_at_<k>` and `map_at_r`, each 0 to 1; with fewer than k other rows, all of them count as nearest.

    Raises:
      ValueError: if a number is not finite, or every row is the only one in its class.

    Source: Musgrave, Belongie & Lim 2020, section 3.2, arXiv:2003.08505.
    """
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    wanted = counts[class_of] - 1
    if not wanted.any():
        raise ValueError("retrieval needs two rows in the same class, got none")
    ranks = np.arange(1, wanted.max() + 1)
    precisions, hits = [], []
    for rows, squared in space.squared_distances(space.of(embeddings, distance=distance)):
        relevant = labels[rows][:, None] == labels[None, :]
        # Sorting (distance, relevant) as one number each: a float32 >= 0 orders as its 31 bits do, as an integer.
        order = squared.view(np.uint32) * np.uint32(2) + relevant
        order[np.arange(len(rows)), rows] = np.iinfo(np.uint32).max - 1  # itself comes last, and is not relevant
        nearest = min(max(len(ranks), *RECALLS), len(labels))
        found = np.sort(np.partition(order, nearest - 1, axis=1)[:, :nearest], axis=1) & 1
        hits.append(np.stack([found[:, :k].any(axis=1) for k in RECALLS], axis=1))
        found = found[:, : len(ranks)] * (ranks[None, :] <= wanted[rows][:, None])
        precision = np.cumsum(found, axis=1) / ranks[None, :]
        precisions.append(np.sum(precision * found, axis=1) / np.maximum(wanted[rows], 1))
    asked = wanted > 0
    recalls = np.concatenate(hits)[asked].mean(axis=0)
    measures = {f"recall_at_{k}": float(recall) for k, recall in zip(RECALLS, recalls, strict=True)}
    return measures | {"map_at_r": float(np.concatenate(precisions)[asked].mean())}
