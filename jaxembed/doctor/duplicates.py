"""Near-duplicates: pairs of images that an embedding takes for the same one."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxembed.doctor import likeness
from jaxembed.kernels import nearest

# Pairs whose pixels are compared, and those whose images are in memory at a time.
CANDIDATES, _AT_ONCE = 2000, 100


class Pairs(NamedTuple):
    """Pairs of rows, the nearest ones relative to their surroundings first.

    Attributes:
      rows: [p, 2] the rows of a pair.
      distances: [p] the distance between the two rows.
      relative: [p] the distance over the mean distance of the first row to its other neighbours: 0 for a copy, near
        1 for a row that is no nearer than the rest.
    """

    rows: Int[np.ndarray, "p 2"]
    distances: Float[np.ndarray, " p"]
    relative: Float[np.ndarray, " p"]


def within(
    found: Int[np.ndarray, "n k"], distances: Float[np.ndarray, "n k"], parts: Int[np.ndarray, " n"]
) -> Pairs:
    """Pair each row with its nearest other row, where that is in the same part; each pair once.

    Args:
      found: [n, k] the nearest other rows of each row, k >= 2.
      distances: [n, k] the distances to them.
      parts: [n] the part that a row is in.
    """
    each = np.arange(len(found))
    same = parts[found[:, 0]] == parts
    return _once(each[same], found[same, 0], distances[same, 0], _surroundings(distances[same, 1:]))


def across(points: Float[np.ndarray, "n d"], parts: Int[np.ndarray, " n"], *, neighbours: int) -> Pairs:
    """Pair each row with the nearest row of an earlier part; none if there is one part.

    Args:
      points: [n, d] float.
      parts: [n] the part that a row is in, 0 or more.
      neighbours: how many rows of the earlier parts a row is compared with.
    """
    pairs = [Pairs(np.zeros((0, 2), int), np.zeros(0, np.float32), np.zeros(0, np.float32))]
    for part in np.unique(parts)[1:]:
        queries, earlier = np.flatnonzero(parts == part), np.flatnonzero(parts < part)
        k = min(neighbours, len(earlier))
        found = nearest.find(points[earlier], points[queries], neighbours=k, distance="euclidean")
        found, distances = nearest.ordered(points, queries, earlier[found])
        pairs.append(_once(queries, found[:, 0], distances[:, 0], _surroundings(distances[:, 1:])))
    rows, distances, relative = (np.concatenate(each) for each in zip(*pairs, strict=True))
    order = np.argsort(relative, kind="stable")
    return Pairs(rows[order], distances[order], relative[order])


def by_pixels(
    pairs: Pairs, images: Callable[[Int[np.ndarray, "p 2"]], UInt8[np.ndarray, "p 2 h w c"]]
) -> tuple[Pairs, Float[np.ndarray, " p"]]:
    """Rank the first CANDIDATES pairs by how alike their pixels are.

    Args:
      pairs: the pairs that `within` or `across` returned.
      images: a function that reads the images of pairs of rows.

    Returns:
      the pairs, and [p] their likeness; those that are equally alike, to three digits, in the order they were in.
    """
    first = Pairs(*(array[:CANDIDATES] for array in pairs))
    alike = np.empty(len(first.rows), np.float32)
    for start in range(0, len(alike), _AT_ONCE):
        both = images(first.rows[start : start + _AT_ONCE])
        alike[start : start + _AT_ONCE] = likeness.of_pairs(both[:, 0], both[:, 1])
    order = np.argsort(-np.round(alike, 3), kind="stable")
    return Pairs(*(array[order] for array in first)), alike[order]


def _surroundings(distances: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Average the distances to the other neighbours; NaN where there are none."""
    return distances.mean(axis=1) if distances.shape[1] else np.full(len(distances), np.nan, np.float32)


def _once(
    first: Int[np.ndarray, " p"],
    second: Int[np.ndarray, " p"],
    distances: Float[np.ndarray, " p"],
    surroundings: Float[np.ndarray, " p"],
) -> Pairs:
    """Rank pairs, each in the direction in which it ranks higher."""
    # Where all distances are 0, everything is a copy; a pair without surroundings is no nearer than the rest.
    relative = np.where(np.isnan(surroundings), 1, 0).astype(np.float32)
    np.divide(distances, surroundings, out=relative, where=surroundings > 0)
    order = np.argsort(relative, kind="stable")
    rows = np.stack([first, second], axis=1)[order]
    _, kept = np.unique(np.sort(rows, axis=1), axis=0, return_index=True)
    order = order[np.sort(kept)]
    return Pairs(np.stack([first, second], axis=1)[order], distances[order], relative[order])
