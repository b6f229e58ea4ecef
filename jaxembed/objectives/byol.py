"""BYOL (Grill et al. 2020): from one view of an image a network predicts what its teacher makes of another view.
The teacher's weights are a moving average of the network's own. No two images are ever compared, and no labels are
used: what keeps all embeddings from becoming equal is the predictor, which the teacher lacks, and the average.
"""

from functools import partial

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Section, Share, SomeWidths, Widths
from jaxembed.losses import collapse
from jaxembed.objectives import Views
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    projection=(8, 4),
    prediction=(8,),
    decay=0.9,
    views=2,
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
    second=dict(solarise=dict(p=0.5, threshold=0.5)),
)


def make(
    task: Task,
    *,
    projection: SomeWidths,
    prediction: Widths,
    decay: Share,
    views: Views,
    augmentation: Section,
    second: Section,
) -> Objective:
    """Make the objective; the head is a projector with a predictor on top, both discarded after training.

    Args:
      task: ignored, because BYOL uses no labels.
      projection: widths of the projector, with BatchNorm between them.
      prediction: widths of the predictor's hidden layers.
      decay: of the teacher at first; it rises to 1 as half a cosine.
      views: views of each image; each predicts all others, and the loss is the mean over the pairs.
      augmentation: applied to each image for each view.
      second: operations in which every other view differs from that.
    """
    head = model.Predictor(tuple(projection), tuple(prediction))
    made = objectives.several_views(augmentation, second, count=views)
    return Objective(head, made, partial(_score, views=views), teacher=partial(objectives.rising, decay))


def _score(seen: Seen, *, views: int) -> Scores:
    predicted, targets = seen.outputs.prediction.prediction, seen.teacher.prediction.projection
    cosine = objectives.across_views(losses.negative_cosine, predicted, targets, count=views)
    return {"loss": 2 + 2 * cosine, "spread": collapse.spread(seen.outputs.embedding)}
