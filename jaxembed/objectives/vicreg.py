"""VICReg (Bardes et al. 2022): two views of an image should have the same projection (invariance), every dimension
of which keeps a deviation of at least 1 over the batch (variance), while no two vary together (covariance). No
labels are used.
"""

from functools import partial

import jax.numpy as jnp

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import NonNegative, Section, SomeWidths
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    invariance=1.0,
    variance=1.0,
    covariance=0.04,
    projection=(8, 4),
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
    second=dict(),
)


def make(
    task: Task,
    *,
    invariance: NonNegative,
    variance: NonNegative,
    covariance: NonNegative,
    projection: SomeWidths,
    augmentation: Section,
    second: Section,
) -> Objective:
    """Make the objective; the head is the projector, which is discarded after training.

    Args:
      task: ignored, because VICReg uses no labels.
      invariance: weight of the distance between the two views.
      variance: weight of what the deviations of dimensions lack.
      covariance: weight of the covariances between dimensions.
      projection: widths of the projector, with BatchNorm between them.
      augmentation: applied to each image twice, to make its two views.
      second: operations in which the second view differs from that.
    """
    head, views = model.Projector(tuple(projection)), objectives.several_views(augmentation, second)
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    return Objective(head, views, partial(_score, **weights))


def _score(seen: Seen, **weights: float) -> Scores:
    loss = losses.vicreg(*jnp.split(seen.outputs.prediction, 2), **weights)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
