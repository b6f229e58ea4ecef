"""Barlow Twins (Zbontar et al. 2021): two views of an image should have the same projection, and no two dimensions
of it should say the same: the correlations between the dimensions of one view and those of the other, over the
batch, become 1 for each with itself and 0 for all others. No labels are used.
"""

from functools import partial

import jax.numpy as jnp

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import NonNegative, Section, SomeWidths
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    off_diagonal=5e-3,
    projection=(8, 4),
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
    second=dict(),
)


def make(
    task: Task, *, off_diagonal: NonNegative, projection: SomeWidths, augmentation: Section, second: Section
) -> Objective:
    """Make the objective; the head is the projector, which is discarded after training.

    Args:
      task: ignored, because Barlow Twins uses no labels.
      off_diagonal: weight of the correlations between different dimensions.
      projection: widths of the projector, with BatchNorm between them.
      augmentation: applied to each image twice, to make its two views.
      second: operations in which the second view differs from that.
    """
    head, views = model.Projector(tuple(projection)), objectives.several_views(augmentation, second)
    return Objective(head, views, partial(_score, off_diagonal=off_diagonal))


def _score(seen: Seen, *, off_diagonal: float) -> Scores:
    loss = losses.barlow(*jnp.split(seen.outputs.prediction, 2), off_diagonal=off_diagonal)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
