"""Contrastive losses: each row finds its other view among all rows."""

import jax.numpy as jnp
from jaxtyping import Array, Float

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


def _directions(embeddings: Float[Array, "n d"], temperature: float) -> Float[Array, "n d"]:
    """Check what NT-Xent is given, and scale its rows to unit length."""
    n = len(embeddings)
    if n == 0 or n % 2:
        raise ValueError(f"embeddings must have an even number of rows > 0, two views of each image; got {n} rows")
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    # In float32, because half precision is not enough for a mask and a log-sum-exp over thousands of rows.
    return numerics.normalise(embeddings.astype(jnp.float32))
