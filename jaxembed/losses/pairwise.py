"""Pairwise losses: how far apart two rows should be, by whether they share a class."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxembed.losses import numerics


def margin(
    first: Float[Array, "*#n d"], second: Float[Array, "*#n d"], same: Bool[Array, "*#n"], *, margin: float
) -> Float[Array, "*#n"]:
    """Pull pairs in the same class together, and push other pairs at least `margin` apart.

    A pair at Euclidean distance d costs ½ d² if both are in the same class, else ½ max(0, margin - d)². Leading
    axes broadcast, so [n, 1, d] against [1, n, d] scores every pair in a batch. Where the two points of a pair
    coincide, the distance has no gradient: it is taken as 0 there, not NaN.

    Args:
      first: [..., d] float.
      second: [..., d] float.
      same: [...] bool, True where both are in the same class.
      margin: > 0, in the units of the embedding; Euclidean, not cosine.
    Returns:
      [...] float, >= 0, in squared units of the embedding; infinite, with a finite gradient, where d² overflows.
    Raises:
      ValueError: if the margin is not positive.
    Source: Hadsell et al. 2006, eq. (4), with Y = 0 for a pair in the same class.
    """
    return _margin(jnp.sum(jnp.square(first - second), axis=-1), same, margin)


def margin_pairs(
    embeddings: Float[Array, "n d"], same: Bool[Array, "n n"], *, margin: float
) -> Float[Array, "n n"]:
    """Score every pair of n rows with `margin`, with distances from one matmul instead of an [n, n, d] array.

    The squared distances are |x|² + |y|² - 2 x·y, relative to the mean row. Rounding leaves an error of a millionth
    of |x|² + |y|², so a pair with a smaller squared distance counts as coinciding, and a row that is far from all
    others blurs theirs: a run warns where its rows are more than `collapse.MOST_SPREAD` margins apart. Where that
    sum overflows, the squared distance is infinite.

    Args:
      embeddings: [n, d] float.
      same: [n, n] bool, True where both rows are in the same class.
      margin: > 0, in the units of the embedding.
    Returns:
      [n, n] float, symmetric; the diagonal pairs each row with itself.
    Raises:
      ValueError: if the margin is not positive.
    """
    embeddings = embeddings - jnp.mean(embeddings, axis=0, keepdims=True)
    lengths = jnp.sum(jnp.square(embeddings), axis=1)
    lengths = lengths[:, None] + lengths[None, :]
    # Full float32: subtracting nearly equal numbers would leave no correct digits in TF32 or bfloat16.
    squared = lengths - 2 * jnp.matmul(embeddings, embeddings.T, precision="highest")
    squared = jnp.where(squared > 1e-6 * lengths, squared, 0)
    # Beyond float32, the difference above is NaN, and a run that has diverged would seem to have no loss.
    return _margin(jnp.where(jnp.isinf(lengths), jnp.inf, squared), same, margin)


def _margin(squared: Float[Array, "..."], same: Bool[Array, "..."], margin: float) -> Float[Array, "..."]:
    if margin <= 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    shortfall = jnp.maximum(0, margin - numerics.safe_sqrt(squared))
    return 0.5 * jnp.where(same, squared, jnp.square(shortfall))
