"""Margin contrastive learning: same-class pairs together, different-class pairs a margin apart."""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxembed import collapse, losses, model, objectives, options
from jaxembed.types import Batch, Objective, Outputs, Scores, Section, Task


def make(
    task: Task,
    *,
    margin: float,
    projection: tuple[int, ...],
    augmentation: Section,
) -> Objective:
    """Make the objective: every pair inside the batch, the two kinds of pair with equal weight.

    Args:
      task: not used: only whether two labels are equal counts.
      margin: > 0, Euclidean.
      projection: widths of an MLP whose outputs are paired; none pairs the embeddings themselves.
      augmentation: what is done to each training image.
    """
    options.bounded("config.objective", "> 0", margin=margin, projection=projection)
    head = model.MLP(tuple(projection), dropout=0.0)
    return Objective(head, objectives.single_view(augmentation), partial(_score, margin=margin), reports=())


def _score(outputs: Outputs, target: Batch, *, margin: float) -> Scores:
    z, labels = outputs.prediction, target.labels
    equal = labels[:, None] == labels[None, :]
    itself = jnp.eye(len(z), dtype=bool)
    same, different = equal & ~itself, ~equal
    loss = losses.margin_pairs(z, equal, margin=margin)
    # With k classes only one pair in k is of one class: each kind gets half the weight, or the first drowns.
    weight = _share(same) / 2 + _share(different) / 2
    active = different & (loss > 0)
    return {
        "loss": jnp.sum(weight * loss, axis=1),
        "active": jnp.sum(active * _share(different), axis=1),
        # In margins: the loss says nothing of where the origin lies, so lengths are no unit.
        "spread": collapse.spread(z, jnp.asarray(margin)),
    }


def _share(pairs: Bool[Array, "n n"]) -> Float[Array, "n n"]:
    """Weigh pairs [n, n] so that their sum over a row, averaged over the n rows, is their mean."""
    return pairs * (len(pairs) / jnp.maximum(jnp.sum(pairs), 1))
