"""Contrastive losses: each row finds its own among many rows: its other view, its class, or its key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxembed.kernels import logsumexp
from jaxembed.losses import numerics
from jaxembed.losses.classification import cross_entropy


def ntxent(embeddings: Float[Array, "n d"], *, temperature: float) -> Float[Array, " n"]:
    """Normalised temperature-scaled cross-entropy: find each row's other view among all other rows.

    Rows i and i + n/2 are two views of the same image, so each is the other's positive; the remaining n - 2 rows
    are the negatives. Row i's loss is -log softmax_j(cos(i, j) / temperature) at its positive, j ≠ i. All
    similarities come from one [n, n] matmul; a row of zeros has similarity 0 and a finite gradient, and so, nearly,
    has a row shorter than 1e-12.

    Args:
      embeddings: [n, d] float, of any scale: only their directions matter.
      temperature: > 0, dimensionless; 0.5 in the source for CIFAR-10.
    Returns:
      [n] float32, nats per row, >= 0; log(n - 1) where all similarities are equal.
    Raises:
      ValueError: if n is odd or 0, or the temperature is not positive.
    Source: Chen et al. 2020, eq. (1), arXiv:2002.05709.
    """
    directions = _directions(embeddings, temperature)
    n = len(directions)
    similarities = directions @ directions.T / temperature
    logits = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, similarities)
    # Row i's positive is its other view, n/2 rows away; eq. (1) of Chen et al. 2020.
    partner = jnp.roll(jnp.arange(n), n // 2)
    return cross_entropy(logits, partner)


def ntxent_tiled(embeddings: Float[Array, "n d"], *, temperature: float, tile: int) -> Float[Array, " n"]:
    """Compute `ntxent` in tiles: the same values and gradients, without the [n, n] matrix.

    Row i's loss is log Σ_{j≠i} exp(cos(i, j) / temperature), which kernels/logsumexp.py sums over tiles and, inside
    `mesh.around`, over the devices, minus the positive's cosine over the temperature.

    Args:
      embeddings: [n, d] float, as in `ntxent`.
      temperature: > 0, dimensionless.
      tile: >= 1, rows and columns of the matrix that are in memory at a time; it need not divide n.
    Returns:
      [n] float32, nats per row, as `ntxent`.
    Raises:
      ValueError: if n is odd or 0, or the temperature or the tile is not positive.
    Source: Chen et al. 2020, eq. (1), arXiv:2002.05709.
    """
    directions = _directions(embeddings, temperature)
    if tile < 1:
        raise ValueError(f"tile must be >= 1, got {tile}")
    positives = jnp.sum(directions * jnp.roll(directions, len(directions) // 2, axis=0), axis=1) / temperature
    return logsumexp.of_others(directions, temperature=temperature, tile=tile) - positives


def supcon(embeddings: Float[Array, "n d"], labels: Int[Array, " n"], *, temperature: float) -> Float[Array, " n"]:
    """Supervised contrastive loss: find all rows of a row's class among all other rows.

    With P_i the other rows that have the label of row i, row i costs the mean over p in P_i of -log
    softmax_j(cos(i, j) / temperature) at p, j ≠ i. With one such row each it is `ntxent`. A row that is alone in
    its class costs 0, and the others as much more as makes the mean over all rows that over the others.

    Args:
      embeddings: [n, d] float, of any scale: only their directions matter.
      labels: [n] int.
      temperature: > 0, dimensionless; 0.1 in the source.
    Returns:
      [n] float32, nats per row, >= 0; log(n - 1) where all similarities are equal.
    Raises:
      ValueError: if the temperature is not positive.
    Source: Khosla et al. 2020, eq. (2), arXiv:2004.11362.
    """
    _check(temperature)
    directions = numerics.normalise(embeddings.astype(jnp.float32))
    similarities = directions @ directions.T / temperature
    itself = jnp.eye(len(directions), dtype=bool)
    same = (labels[:, None] == labels[None, :]) & ~itself
    log_sum = jax.nn.logsumexp(jnp.where(itself, -jnp.inf, similarities), axis=1)
    count = jnp.sum(same, axis=1)
    nearness = jnp.sum(jnp.where(same, similarities, 0), axis=1) / jnp.maximum(count, 1)
    return numerics.mean_over(log_sum - nearness, count > 0)


def infonce(
    queries: Float[Array, "n d"], keys: Float[Array, "n d"], queue: Float[Array, "q d"], *, temperature: float
) -> Float[Array, " n"]:
    """Find each query's own key among the keys in a queue, which are the negatives.

    Row i costs -log softmax at its key of the cosines with its key and with all q rows of the queue, over the
    temperature. Keys of other rows are no negatives.

    Args:
      queries: [n, d] float, of any scale.
      keys: [n, d] float, of any scale; row i is the positive of row i.
      queue: [q, d] float, of unit length.
      temperature: > 0, dimensionless; 0.07 in the source, 0.2 in its second version.
    Returns:
      [n] float32, nats per row, >= 0; log(q + 1) where all similarities are equal.
    Raises:
      ValueError: if the temperature is not positive.
    Source: He et al. 2020, eq. (1), arXiv:1911.05722.
    """
    _check(temperature)
    queries, keys = (numerics.normalise(rows.astype(jnp.float32)) for rows in (queries, keys))
    own = jnp.sum(queries * keys, axis=1) / temperature
    others = jax.nn.logsumexp(queries @ queue.astype(jnp.float32).T / temperature, axis=1)
    return jnp.logaddexp(own, others) - own


def _directions(embeddings: Float[Array, "n d"], temperature: float) -> Float[Array, "n d"]:
    """Check what NT-Xent is given, and scale its rows to unit length."""
    n = len(embeddings)
    if n == 0 or n % 2:
        raise ValueError(f"embeddings must have an even number of rows > 0, two views of each image; got {n} rows")
    _check(temperature)
    # In float32, because half precision is not enough for a mask and a log-sum-exp over thousands of rows.
    return numerics.normalise(embeddings.astype(jnp.float32))


def _check(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
