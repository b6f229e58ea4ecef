"""Decorrelation: two views should agree, and no two dimensions should say the same."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Added to a variance, so that a dimension that is constant over the batch has a finite slope.
_EPSILON, _LEAST = 1e-5, 1e-4
_LARGEST = 1e9


def barlow(first: Float[Array, "n d"], second: Float[Array, "n d"], *, off_diagonal: float) -> Float[Array, ""]:
    """Make the correlations between the dimensions of two views those of the identity.

    With C_ij the correlation over the batch of dimension i of the first view and j of the second, the loss is
    Σ_i (1 - C_ii)² + off_diagonal · Σ_{i≠j} C_ij². A dimension that is constant over the batch has correlation 0.

    Args:
      first: [n, d] float, one view of n images.
      second: [n, d] float, the other view of the same images.
      off_diagonal: >= 0, dimensionless; 0.005 in the source.
    Returns:
      [] float32 for the batch, >= 0; d where the views are not correlated at all, nearly 0 where they are equal
      and their dimensions are not correlated.
    Source: Zbontar et al. 2021, eq. (1) and (2), arXiv:2103.03230.
    """
    standard = [_standardised(view.astype(jnp.float32)) for view in (first, second)]
    correlations = standard[0].T @ standard[1] / len(first)
    own = jnp.eye(len(correlations), dtype=bool)
    weighted = jnp.where(own, jnp.square(correlations - 1), off_diagonal * jnp.square(correlations))
    return jnp.sum(weighted)


def vicreg(
    first: Float[Array, "n d"],
    second: Float[Array, "n d"],
    *,
    invariance: float,
    variance: float,
    covariance: float,
) -> Float[Array, ""]:
    """Bring two views together, keep the deviation of each dimension, and let no two dimensions vary together.

    The weighted sum of three terms: the mean square of the difference of the views; the mean over dimensions and
    views of max(0, 1 - deviation); and Σ_{i≠j} Cov_ij² / d, summed over the views. Variances are those of a
    sample, divided by n - 1; 1e-4 is added to each before its root, whose slope would be infinite at 0.

    Args:
      first: [n, d] float, one view of n images.
      second: [n, d] float, the other view of the same images.
      invariance: >= 0, weight of the first term; 25 in the source.
      variance: >= 0, weight of the second; 25 in the source.
      covariance: >= 0, weight of the third; 1 in the source.
    Returns:
      [] float32 for the batch, >= 0; 0.99 · variance where all rows are equal; infinite, with gradient 0, where a
      number is 1e9 or more, whose fourth power overflows.
    Raises:
      ValueError: if there are fewer than 2 rows.
    Source: Bardes et al. 2022, eq. (1) to (6), arXiv:2105.04906, with the weights of its authors' code, which
      takes the
      mean of the variance term over the views.
    """
    if len(first) < 2:
        raise ValueError(f"there must be at least 2 rows, got {len(first)}")
    views = [view.astype(jnp.float32) for view in (first, second)]
    fits = jnp.max(jnp.abs(jnp.stack(views))) < _LARGEST
    views = [jnp.where(fits, view, 0) for view in views]
    loss = invariance * jnp.mean(jnp.square(views[0] - views[1]))
    for rows in views:
        rows = rows - jnp.mean(rows, axis=0, keepdims=True)
        shared = rows.T @ rows / (len(rows) - 1)
        deviations = jnp.sqrt(jnp.diagonal(shared) + _LEAST)
        others = jnp.where(jnp.eye(len(shared), dtype=bool), 0, shared)
        loss += variance * jnp.mean(jnp.maximum(0, 1 - deviations)) / 2
        loss += covariance * jnp.sum(jnp.square(others)) / len(shared)
    return jnp.where(fits, loss, jnp.inf)


def _standardised(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Give each dimension mean 0 and deviation 1 over the batch."""
    # Larger numbers have squares that overflow; no correlation depends on their scale.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=0, keepdims=True))
    rows = rows / jnp.where(largest > 1e15, largest, 1)
    rows = rows - jnp.mean(rows, axis=0, keepdims=True)
    return rows / jnp.sqrt(jnp.mean(jnp.square(rows), axis=0, keepdims=True) + _EPSILON)
