"""k nearest neighbours: what the embedding says of a class before anything is trained on it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed.kernels import rows

# Queries compared at a time, and similarities: 2**25 float32 are 134 MB.
CHUNK, HELD = 500, 2**25
# Similarities of a query of which at first only the largest is looked at.
GROUP = 64


def classify(
    train: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    queries: Float[np.ndarray, "n d"],
    *,
    neighbours: int,
    distance: str,
    classes: int,
) -> Int[np.ndarray, " n"]:
    """Predict each query's class as the majority of its nearest train rows.

    Votes count equally and a tie goes to the lowest class, as in scikit-learn's KNeighborsClassifier.

    Args:
      train: [m, d] float embeddings.
      labels: [m] int in 0..classes-1.
      queries: [n, d] float embeddings.
      neighbours: k, at most m.
      distance: "cosine" (the angle alone) or "euclidean".
      classes: how many.

    Returns:
      [n] int, the classes.
    """
    voters = labels[nearest(train, queries, neighbours=neighbours, distance=distance)]
    ballots = np.arange(len(queries))[:, None] * classes + voters
    votes = np.bincount(ballots.ravel(), minlength=len(queries) * classes)
    return np.argmax(votes.reshape(-1, classes), axis=1)


def nearest(
    train: Float[np.ndarray, "m d"], queries: Float[np.ndarray, "n d"], *, neighbours: int, distance: str
) -> Int[np.ndarray, "n k"]:
    """Find the k rows of train that are nearest to each query, nearest first; the [n, m] are never held whole."""
    space = DISTANCES[distance](jax.device_put(train))

    def search(chunk: Float[np.ndarray, "n d"]) -> Int[Array, "n k"]:
        return _search(space, chunk, neighbours)

    return rows.chunked(search, queries, size=min(CHUNK, max(1, HELD // len(train)), len(queries)))


class _Space(NamedTuple):
    """Where the nearest of all train rows has the largest (query - centre)·point - height.

    Points that are of no row, and infinitely high, make their number a multiple of GROUP.
    """

    centre: Float[Array, "1 d"]
    points: Float[Array, "p d"]
    heights: Float[Array, " p"]


@jax.jit
def _cosine(train: Float[Array, "m d"]) -> _Space:
    # The query's length scales its whole row and so does not change the order.
    lengths = jnp.linalg.norm(train, axis=1, keepdims=True)
    return _space(jnp.zeros_like(train[:1]), train / jnp.maximum(lengths, 1e-12), jnp.zeros(len(train)))


@jax.jit
def _euclidean(train: Float[Array, "m d"]) -> _Space:
    # -|q - t|²/2 without |q|²/2, which does not change the order either; the centre keeps the squares small.
    centre = jnp.mean(train, axis=0, keepdims=True)
    points = train - centre
    return _space(centre, points, jnp.sum(jnp.square(points), axis=1) / 2)


def _space(centre: Float[Array, "1 d"], points: Float[Array, "m d"], heights: Float[Array, " m"]) -> _Space:
    more = (0, -len(points) % GROUP)
    return _Space(centre, jnp.pad(points, (more, (0, 0))), jnp.pad(heights, more, constant_values=jnp.inf))


DISTANCES = {"cosine": _cosine, "euclidean": _euclidean}


@partial(jax.jit, static_argnums=2)
def _search(space: _Space, queries: Float[Array, "n d"], neighbours: int) -> Int[Array, "n k"]:
    # Full float32: TF32 or bfloat16 would reorder near neighbours on a GPU or a TPU.
    products = jnp.matmul(queries - space.centre, space.points.T, precision="highest")
    return _largest(products - space.heights[None, :], neighbours)


def _largest(rows: Float[Array, "n p"], k: int) -> Int[Array, "n k"]:
    """Find the k largest of each row, largest first and of equal ones the first, as `top_k` does, but faster.

    They are among the k groups of GROUP numbers whose maxima are the largest.
    """
    grouped = rows.reshape(len(rows), -1, GROUP)
    # In the order of the rows, so that of equal ones the first comes first again.
    among = jnp.sort(jax.lax.top_k(jnp.max(grouped, axis=2), min(k, grouped.shape[1]))[1], axis=1)
    candidates = jnp.take_along_axis(grouped, among[:, :, None], axis=1).reshape(len(rows), -1)
    places = jax.lax.top_k(candidates, k)[1]
    return jnp.take_along_axis(among, places // GROUP, axis=1) * GROUP + places % GROUP
