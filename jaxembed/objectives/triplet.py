"""Triplets (Hermans et al. 2017): each image's farthest image of its class should be nearer than its nearest image
of another class, both within the batch, by a margin that is soft. Labels only say which images share a class.
"""

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Section, Widths
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(projection=(), augmentation=dict(erase=dict(p=0.5, min_area=0.1, max_area=0.3)))


def make(task: Task, *, projection: Widths, augmentation: Section) -> Objective:
    """Make the objective: the hardest triplet of each image of a batch, by Euclidean distance.

    Args:
      task: must have classes; only whether two labels are equal counts.
      projection: widths of an MLP whose outputs are compared; with none, the embeddings themselves are.
      augmentation: applied to each training image.
    """
    objectives.need_classes(task, name="triplet")
    head = model.MLP(tuple(projection), dropout=0.0)
    return Objective(head, objectives.single_view(augmentation), _score)


def _score(seen: Seen) -> Scores:
    loss = losses.triplet(seen.outputs.prediction, seen.target.labels)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
