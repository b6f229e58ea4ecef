"""k nearest neighbours: what the embedding says of a class before anything is trained on it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed import rows

# Queries compared at a time: 500 × 60,000 float32 similarities are 120 MB.
CHUNK = 500


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
    return np.argmax(np.eye(classes, dtype=np.int32)[voters].sum(axis=1), axis=1)


def nearest(
    train: Float[np.ndarray, "m d"], queries: Float[np.ndarray, "n d"], *, neighbours: int, distance: str
) -> Int[np.ndarray, "n k"]:
    """Find the k rows of train that are nearest to each query, nearest first; the [n, m] are never held whole."""
    on_device = jax.device_put(train)

    def search(chunk: Float[np.ndarray, "n d"]) -> Int[Array, "n k"]:
        return _search(on_device, chunk, neighbours, distance)

    return rows.chunked(search, queries, size=min(CHUNK, len(queries)))


@partial(jax.jit, static_argnums=(2, 3))
def _search(
    train: Float[Array, "m d"], queries: Float[Array, "n d"], neighbours: int, distance: str
) -> Int[Array, "n k"]:
    return jax.lax.top_k(DISTANCES[distance](queries, train), neighbours)[1]


def _cosine(queries: Float[Array, "n d"], train: Float[Array, "m d"]) -> Float[Array, "n m"]:
    # The query's length scales its whole row and so does not change the order.
    lengths = jnp.linalg.norm(train, axis=1, keepdims=True)
    return _matmul(queries, train / jnp.maximum(lengths, 1e-12))


def _euclidean(queries: Float[Array, "n d"], train: Float[Array, "m d"]) -> Float[Array, "n m"]:
    # -|q - t|² without |q|², which does not change the order either; the centre keeps the squares small.
    centre = jnp.mean(train, axis=0, keepdims=True)
    queries, train = queries - centre, train - centre
    return 2 * _matmul(queries, train) - jnp.sum(jnp.square(train), axis=1)[None, :]


def _matmul(queries: Float[Array, "n d"], train: Float[Array, "m d"]) -> Float[Array, "n m"]:
    # Full float32: TF32 or bfloat16 would reorder near neighbours on a GPU or a TPU.
    return jnp.matmul(queries, train.T, precision="highest")


DISTANCES = {"cosine": _cosine, "euclidean": _euclidean}
