"""All pairs of a batch are compared: two images in the same class are pulled together, two in different classes
are pushed apart until they are a margin away from each other (Hadsell et al. 2006). Labels only say which images
share a class; same-class and different-class pairs have equal weight in total.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import PositiveFloat, Section, Widths
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(margin=1.0, projection=(), augmentation=dict(erase=dict(p=0.5, min_area=0.1, max_area=0.3)))


def make(
    task: Task,
    *,
    margin: PositiveFloat,
    projection: Widths,
    augmentation: Section,
) -> Objective:
    """Make the objective: every pair in the batch, the two kinds of pairs with equal weight.

    Args:
      task: must have classes; only whether two labels are equal counts.
      margin: Euclidean, in the units of the embedding.
      projection: widths of an MLP whose outputs are paired; with none, the embeddings themselves are.
      augmentation: applied to each training image.
    """
    objectives.need_classes(task, name="margin")
    head = model.MLP(tuple(projection), dropout=0.0)
    return Objective(head, objectives.single_view(augmentation), partial(_score, margin=margin))


def _score(seen: Seen, *, margin: float) -> Scores:
    z, labels = seen.outputs.prediction, seen.target.labels
    equal = labels[:, None] == labels[None, :]
    itself = jnp.eye(len(z), dtype=bool)
    same, different = equal & ~itself, ~equal
    loss = losses.margin_pairs(z, equal, margin=margin)
    # With k classes only one pair in k is in the same class: without equal weights those would be drowned out.
    weight = _share(same) / 2 + _share(different) / 2
    active = different & (loss > 0)
    return {
        # Without the diagonal: 0 times an infinite loss is NaN.
        "loss": jnp.sum(weight * loss, axis=1, where=weight > 0),
        "active": jnp.sum(active * _share(different), axis=1),
        # In margins: the loss does not fix the origin, so lengths cannot serve as the unit.
        "spread": collapse.spread(z, jnp.asarray(margin)),
    }


def _share(pairs: Bool[Array, "n n"]) -> Float[Array, "n n"]:
    """Weight pairs [n, n] so that their sum over a row, averaged over the n rows, is their mean."""
    return pairs * (len(pairs) / jnp.maximum(jnp.sum(pairs), 1))
