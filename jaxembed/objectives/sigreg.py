"""LeJEPA with SIGReg (Balestriero & LeCun 2025): all views of an image should have the projection that is their
mean, while the projections of all images are distributed as a standard normal, which is tested along random
directions, new ones each step. No labels are used, no teacher and no predictor.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Positive, Section, Share, SomeWidths
from jaxembed.losses import collapse, numerics
from jaxembed.objectives import Views
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    regularisation=0.05,
    directions=16,
    projection=(8, 4),
    views=2,
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
)


def make(
    task: Task,
    *,
    regularisation: Share,
    directions: Positive,
    projection: SomeWidths,
    views: Views,
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is the projector, which is discarded after training.

    Args:
      task: ignored, because it uses no labels.
      regularisation: the share of the test of normality in the loss; that of the views' agreement is the rest.
      directions: how many directions a step tests.
      projection: widths of the projector, with BatchNorm between them.
      views: views of each image.
      augmentation: applied to each image for each view.
    """
    head, made = model.Projector(tuple(projection)), objectives.several_views(augmentation, count=views)
    knobs = {"regularisation": regularisation, "directions": directions, "views": views}
    return Objective(head, made, partial(_score, **knobs))


def _score(seen: Seen, *, regularisation: float, directions: int, views: int) -> Scores:
    rows = seen.outputs.prediction.reshape(views, -1, seen.outputs.prediction.shape[1])
    apart = jnp.mean(jnp.square(rows - jnp.mean(rows, axis=0, keepdims=True)))
    tested = numerics.normalise(jax.random.normal(seen.key, (directions, rows.shape[2]))).T
    normality = jnp.mean(jnp.stack([losses.sigreg(view, tested) for view in rows]))
    loss = (1 - regularisation) * apart + regularisation * normality
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
