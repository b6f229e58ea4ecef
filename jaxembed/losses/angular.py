"""Angular losses: classes are directions, and a row should be nearer to its own by a margin of angle."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed.losses import numerics
from jaxembed.losses.classification import cross_entropy


def arcface(
    cosines: Float[Array, "n k"], labels: Int[Array, " n"], *, margin: float, scale: float
) -> Float[Array, " n"]:
    """Cross-entropy of cosines where the angle to a row's own class counts as larger by a margin.

    The logit of class k is scale · cos θ_k, and of the row's own class scale · cos(θ + margin). Beyond θ = π -
    margin, where that would rise again, it is scale · (cos θ - margin · sin margin). It is computed without the
    angle, whose slope is infinite at ±1: cos(θ + m) = cos θ cos m - sin θ sin m. Where sin θ is 0, its gradient is
    taken as 0.

    Args:
      cosines: [n, k] float in [-1, 1], between n rows and the directions of k classes.
      labels: [n] int in [0, k).
      margin: in [0, π/2], radians; 0.5 in the source.
      scale: > 0, dimensionless; 64 in the source.
    Returns:
      [n] float32, nats per row, >= 0; with margin 0 the cross-entropy of scale · cosines, and log(k) there where
      all cosines are equal.
    Raises:
      ValueError: if the margin is not in [0, π/2], or the scale is not positive.
    Source: Deng et al. 2019, eq. (3), arXiv:1801.07698; beyond π - margin as in its authors' code.
    """
    if not 0 <= margin <= np.pi / 2:
        raise ValueError(f"margin must be in [0, π/2], got {margin}")
    if scale <= 0:
        raise ValueError(f"scale must be > 0, got {scale}")
    cosines = jnp.clip(cosines.astype(jnp.float32), -1, 1)
    sines = numerics.safe_sqrt(1 - jnp.square(cosines))
    moved = cosines * np.cos(margin) - sines * np.sin(margin)
    moved = jnp.where(cosines >= -np.cos(margin), moved, cosines - margin * np.sin(margin))
    own = jax.nn.one_hot(labels, cosines.shape[1], dtype=bool)
    return cross_entropy(scale * jnp.where(own, moved, cosines), labels)
