"""Classification: how improbable each row's class is."""

import jax
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    logits: Float[Array, "n k"], labels: Int[Array, " n"], *, smoothing: float = 0.0
) -> Float[Array, " n"]:
    """Negative log-probability of each row's class under the softmax of its logits.

    Computed as log-sum-exp minus the logit, which neither overflows nor takes the log of 0.

    Args:
      logits: [n, k] float, unnormalised.
      labels: [n] int in 0..k-1.
      smoothing: the share of the target, in [0, 1], that is spread evenly over all k classes, including the row's
        own.
    Returns:
      [n] float, nats per row, >= 0; log(k) where all logits are equal.
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)
