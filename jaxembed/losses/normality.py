"""Normality: whether rows are distributed as an isotropic standard normal, tested along directions."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Where the characteristic functions are compared: from 0 to 3, as the integrand is even.
KNOTS, FARTHEST = 17, 3.0


def sigreg(embeddings: Float[Array, "n d"], directions: Float[Array, "d k"]) -> Float[Array, ""]:
    """Test along directions whether rows are standard normal: the mean of Epps and Pulley's statistic.

    With φ the empirical characteristic function of the rows' coordinates along a direction, the statistic is n ∫
    |φ(t) - exp(-t²/2)|² exp(-t²/2) dt, by the trapezoidal rule from -3 to 3. It and its gradient are bounded, and
    take n · k · 17 cosines and sines.

    Args:
      embeddings: [n, d] float.
      directions: [d, k] float, k of unit length.
    Returns:
      [] float32 for the batch, >= 0: for normal rows about 1.06 whatever n, √(2π) · (1 - 1/√3); where all rows are
      0, 0.40 · n.
    Source: Balestriero & LeCun 2025, arXiv:2511.08544, section 4.3; Epps & Pulley 1983, with the knots of the
      source's own code.
    """
    points = embeddings.astype(jnp.float32) @ directions.astype(jnp.float32)
    knots = np.linspace(0, FARTHEST, KNOTS, dtype=np.float32)
    normal = np.exp(-(knots**2) / 2)
    # Twice the rule from 0, where the integrand is even.
    weights = np.full(KNOTS, 2 * FARTHEST / (KNOTS - 1), np.float32)
    weights[[0, -1]] /= 2
    turned = points[:, :, None] * knots[None, None]
    apart = jnp.square(jnp.mean(jnp.cos(turned), axis=0) - normal[None])
    apart += jnp.square(jnp.mean(jnp.sin(turned), axis=0))
    return len(points) * jnp.mean(apart @ (weights * normal))
