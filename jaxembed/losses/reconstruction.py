"""Reconstruction: how far a prediction is from the image."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def l1(prediction: Float[Array, "n ..."], target: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Mean absolute error of each row over all its other axes.

    Its minimiser is the conditional median given the code, not the mean: edges stay sharp where squared error
    blurs them. The drawback is a trap: for pixels that are 0 in most images, like most of MNIST's, predicting black
    is a stationary point.

    Args:
      prediction: [n, ...] float.
      target: the same shape.
    Returns:
      [n] float, in the units of the pixels, >= 0.
    Raises:
      ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target must have equal shapes, got {prediction.shape} and {target.shape}")
    return jnp.mean(jnp.abs(prediction - target), axis=tuple(range(1, prediction.ndim)))
