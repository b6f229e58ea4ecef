"""Retrieval: each row of an embedding asks for the others of its class."""

import numpy as np
from jaxtyping import Float, Int

from jaxembed.kernels import pairs

RECALLS = (1, 5, 10)


def measure(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], *, distance: str
) -> dict[str, float]:
    """Measure recall@1, recall@5, recall@10 and MAP@R over all rows as queries among all other rows.

    recall@k is the share of queries with one of their class among the k nearest. For a query whose class has
    R other rows, AP@R is the sum over the R nearest, at places i, of precision@i where the row there is of its
    class, divided by R; MAP@R is its mean. Equal distances count against, as far as float32 tells: of rows that
    are equally near those of other classes come first, so an embedding that has collapsed earns nothing.

    Args:
      embeddings: [n, d] float.
      labels: [n] int; a row that is alone in its class is found by others but asks nothing.
      distance: "cosine" or "euclidean".

    Returns:
      `recall_at_<k>` and `map_at_r`, each 0 to 1; with fewer than k other rows, all of them count as nearest.

    Raises:
      ValueError: if a number is not finite, or every row is alone in its class.

    Source: Musgrave, Belongie & Lim 2020, section 3.2, arXiv:2003.08505.
    """
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    wanted = counts[class_of] - 1
    if not wanted.any():
        raise ValueError("retrieval needs two rows of one class, got none")
    ranks = np.arange(1, wanted.max() + 1)
    precisions, hits = [], []
    for rows, squared in pairs.squared_distances(pairs.space(embeddings, distance=distance)):
        right = labels[rows][:, None] == labels[None, :]
        # Sorting (distance, right) in one number each: a float32 >= 0 orders as its bits do, as an integer.
        order = squared.view(np.int32).astype(np.int64) * 2 + right
        order[np.arange(len(rows)), rows] = np.iinfo(np.int64).max - 1  # itself comes last, and is not right
        found = np.sort(order, axis=1)[:, : max(len(ranks), *RECALLS)] & 1
        hits.append(np.stack([found[:, :k].any(axis=1) for k in RECALLS], axis=1))
        found = found[:, : len(ranks)] * (ranks[None, :] <= wanted[rows][:, None])
        precision = np.cumsum(found, axis=1) / ranks[None, :]
        precisions.append(np.sum(precision * found, axis=1) / np.maximum(wanted[rows], 1))
    asking = wanted > 0
    recalls = np.concatenate(hits)[asking].mean(axis=0)
    measures = {f"recall_at_{k}": float(recall) for k, recall in zip(RECALLS, recalls, strict=True)}
    return measures | {"map_at_r": float(np.concatenate(precisions)[asking].mean())}
