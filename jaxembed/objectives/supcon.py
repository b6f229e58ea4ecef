"""Supervised contrastive learning (Khosla et al. 2020): each view has to find all views of its class among all
views in the batch, by the cosine similarity of projections that are discarded after training. Labels say which
views share a class.
"""

from functools import partial

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import PositiveFloat, Section, SomeWidths
from jaxembed.losses import collapse
from jaxembed.objectives import Views
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    temperature=0.1, projection=(8, 4), views=2, augmentation=dict(crop=dict(min_area=0.5, max_area=1.0))
)


def make(
    task: Task, *, temperature: PositiveFloat, projection: SomeWidths, views: Views, augmentation: Section
) -> Objective:
    """Make the objective; the head is the projection, which is discarded after training.

    Args:
      task: must have classes; only whether two labels are equal counts.
      temperature: dimensionless; the smaller, the more weight the nearest rows have.
      projection: widths of the MLP whose outputs are compared.
      views: views of each image.
      augmentation: applied to each image for each view.
    """
    objectives.need_classes(task, name="supcon")
    head = model.MLP(tuple(projection), dropout=0.0)
    made = objectives.several_views(augmentation, count=views)
    return Objective(head, made, partial(_score, temperature=temperature))


def _score(seen: Seen, *, temperature: float) -> Scores:
    loss = losses.supcon(seen.outputs.prediction, seen.target.labels, temperature=temperature)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
