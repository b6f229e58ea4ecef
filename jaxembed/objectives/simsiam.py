"""SimSiam (Chen & He 2021): from one view of an image a network predicts its own projection of another view,
through which no gradient flows. No two images are ever compared, and no labels are used: what keeps all embeddings
from becoming equal is the predictor, and that the projection it predicts is held still.
"""

from functools import partial

from jax import lax

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Section, SomeWidths, Widths
from jaxembed.losses import collapse
from jaxembed.objectives import Views
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    projection=(8, 4), prediction=(2,), views=2, augmentation=dict(crop=dict(min_area=0.5, max_area=1.0))
)


def make(
    task: Task, *, projection: SomeWidths, prediction: Widths, views: Views, augmentation: Section
) -> Objective:
    """Make the objective; the head is a projector with a predictor on top, both discarded after training.

    Args:
      task: ignored, because SimSiam uses no labels.
      projection: widths of the projector, with BatchNorm after each of them.
      prediction: widths of the predictor's hidden layers; a quarter of the projection in the source.
      views: views of each image; each predicts all others, and the loss is the mean over the pairs.
      augmentation: applied to each image for each view.
    """
    head = model.Predictor(tuple(projection), tuple(prediction), normalised=True)
    return Objective(head, objectives.several_views(augmentation, count=views), partial(_score, views=views))


def _score(seen: Seen, *, views: int) -> Scores:
    made = seen.outputs.prediction
    targets = lax.stop_gradient(made.projection)
    loss = objectives.across_views(losses.negative_cosine, made.prediction, targets, count=views)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
