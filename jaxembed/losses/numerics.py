"""Operations whose values and gradients stay finite where a formula's do not."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def normalise(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Divide each row by its length, or by 1e-12 if it is shorter; a row of zeros has a finite gradient."""
    # The squares of larger numbers overflow, and every direction would be 0. The scale, which no direction depends
    # on, needs no gradient.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    rows = rows / jnp.where(largest > 1e15, largest, 1)
    norms = safe_sqrt(jnp.sum(jnp.square(rows), axis=-1, keepdims=True))
    return rows / jnp.maximum(norms, 1e-12)


def cosines(rows: Float[Array, "n d"], others: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Compute the cosine of each row with each of others, in float32: near 1, bfloat16 tells few apart."""
    rows, others = (normalise(each.astype(jnp.float32)) for each in (rows, others))
    return rows @ others.T


def mean_over(values: Float[Array, " n"], counted: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Scale the counted values so that the mean of all n is theirs; the others become 0."""
    return jnp.where(counted, values, 0) * (len(values) / jnp.maximum(jnp.sum(counted), 1))


def safe_sqrt(squares: Float[Array, "..."]) -> Float[Array, "..."]:
    """Take the square root of numbers >= 0; its gradient at 0 is 0."""
    # sqrt has an infinite slope at 0; masking its argument as well makes the gradient 0 there, not NaN.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)
