"""The nearest rows: exact search for the k nearest of many rows, on the device."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed.kernels import chunked, rounding, space

# Queries compared at a time, at most and at least, and similarities: 12 MB. On a CPU, larger buffers are mapped
# afresh on every call, and the page faults take longer than the search.
MOST, LEAST, HELD = 500, 16, 3 * 2**20
# Similarities of a query of which at first only the largest is compared.
GROUP = 64


def find(
    train: Float[np.ndarray, "m d"], queries: Float[np.ndarray, "n d"], *, neighbours: int, distance: str
) -> Int[np.ndarray, "n k"]:
    """Find the k rows of train that are nearest to each query, nearest first; no [n, m] array is ever held.

    Queries whose neighbours are so near that the rounding of a matmul blurs their distances are searched again.

    Args:
      train: [m, d] float.
      queries: [n, d] float.
      neighbours: k, at most m.
      distance: one of DISTANCES.
    Returns:
      [n, k] int, indices into train.
    """
    size = min(MOST, max(LEAST, HELD // len(train)))
    target = DISTANCES[distance](jax.device_put(train.astype(np.float32, copy=False)))
    found = _found(target, queries, neighbours, size=size)
    last = train[found[:, -1]]
    pair = (space.directions(each) if distance == "cosine" else each for each in (queries, last))
    again = np.flatnonzero(rounding.are_unresolved(*(each - np.asarray(target.centre) for each in pair)))
    if len(again):
        points = np.concatenate([train, queries[again]])
        points = space.relative(points, space.bulk(points, distance=distance).centre, distance=distance)
        found[again] = _carefully(*np.split(points, [len(train)]), neighbours, size=size)
    return found


def others(points: Float[np.ndarray, "n d"], *, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows that are nearest to each row by the Euclidean distance, itself left out.

    Args:
      points: [n, d] float.
      neighbours: k, less than n.

    Returns:
      (rows [n, k], distances [n, k] float32), nearest first; a row's copies are at distance 0.
    """
    each = np.arange(len(points))
    found = find(points, points, neighbours=neighbours + 1, distance="euclidean")
    found = found[space.others(found, each)].reshape(len(points), neighbours)
    return ordered(points, each, found)


def ordered(
    points: Float[np.ndarray, "m d"], queries: Int[np.ndarray, " n"], others: Int[np.ndarray, "n k"]
) -> tuple[np.ndarray, np.ndarray]:
    """Order k others of n rows each by their Euclidean distance, from differences: small ones keep their digits.

    Returns:
      (rows [n, k], distances [n, k] float32), nearest first.
    """
    apart = np.empty(others.shape, np.float32)
    for start in range(0, len(queries), MOST):
        chunk = slice(start, start + MOST)
        apart[chunk] = np.linalg.norm(points[others[chunk]] - points[queries[chunk], None], axis=2)
    order = np.argsort(apart, axis=1, kind="stable")
    return np.take_along_axis(others, order, axis=1), np.take_along_axis(apart, order, axis=1)


class _Space(NamedTuple):
    """A space in which the nearest train row has the largest (query - centre)·point - height.

    Infinitely high points, which no query finds, pad their number to a multiple of GROUP.
    """

    centre: Float[Array, "1 d"]
    points: Float[Array, "p d"]
    heights: Float[Array, " p"]


def _found(
    target: _Space, queries: Float[np.ndarray, "n d"], neighbours: int, *, size: int
) -> Int[np.ndarray, "n k"]:
    def search(chunk: Float[np.ndarray, "n d"]) -> Int[Array, "n k"]:
        return _search(target, chunk, neighbours)

    return chunked.apply(search, queries, size=min(size, len(queries)))


def _carefully(
    train: Float[np.ndarray, "m d"], queries: Float[np.ndarray, "n d"], neighbours: int, *, size: int
) -> Int[np.ndarray, "n k"]:
    """Search in the space of the Euclidean distance, from differences where the rounding of a matmul counts."""
    target = _around(jax.device_put(train.astype(np.float32)), jnp.zeros((1, train.shape[1])))
    found = _found(target, queries.astype(np.float32), neighbours, size=size)
    again = np.flatnonzero(rounding.are_unresolved(queries, train[found[:, -1]]))
    for start in range(0, len(again), size):
        rows = again[start : start + size]
        found[rows] = jax.lax.top_k(-rounding.by_differences(queries[rows], train), neighbours)[1]
    return found


@jax.jit
def _cosine(train: Float[Array, "m d"]) -> _Space:
    # The query's length scales its whole row and so does not change the order.
    lengths = jnp.linalg.norm(train, axis=1, keepdims=True)
    return _space(jnp.zeros_like(train[:1]), train / jnp.maximum(lengths, 1e-12), jnp.zeros(len(train)))


@jax.jit
def _euclidean(train: Float[Array, "m d"]) -> _Space:
    # The centre keeps the squares small.
    return _around(train, jnp.mean(train, axis=0, keepdims=True))


@jax.jit
def _around(train: Float[Array, "m d"], centre: Float[Array, "1 d"]) -> _Space:
    # -|q - t|²/2 without |q|²/2, which does not change the order either.
    points = train - centre
    return _space(centre, points, jnp.sum(jnp.square(points), axis=1) / 2)


def _space(centre: Float[Array, "1 d"], points: Float[Array, "m d"], heights: Float[Array, " m"]) -> _Space:
    more = (0, -len(points) % GROUP)
    return _Space(centre, jnp.pad(points, (more, (0, 0))), jnp.pad(heights, more, constant_values=jnp.inf))


DISTANCES = {"cosine": _cosine, "euclidean": _euclidean}


@partial(jax.jit, static_argnums=2)
def _search(target: _Space, queries: Float[Array, "n d"], neighbours: int) -> Int[Array, "n k"]:
    # Full float32: TF32 or bfloat16 would reorder near neighbours on a GPU or a TPU.
    products = jnp.matmul(queries - target.centre, target.points.T, precision="highest")
    return _largest(products - target.heights[None, :], neighbours)


def _largest(rows: Float[Array, "n p"], k: int) -> Int[Array, "n k"]:
    """Find the k largest numbers of each row, largest first and the first of equal ones, as `top_k` does, but
    faster.

    They are among the k groups of GROUP numbers whose maxima are the largest.
    """
    grouped = rows.reshape(len(rows), -1, GROUP)
    # In the order of the row, so that the first of equal ones comes first again.
    among = jnp.sort(jax.lax.top_k(jnp.max(grouped, axis=2), min(k, grouped.shape[1]))[1], axis=1)
    candidates = jnp.take_along_axis(grouped, among[:, :, None], axis=1).reshape(len(rows), -1)
    found = jax.lax.top_k(candidates, k)[1]
    return jnp.take_along_axis(among, found // GROUP, axis=1) * GROUP + found % GROUP
