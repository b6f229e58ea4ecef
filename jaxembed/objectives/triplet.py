"""Triplets (Hermans et al. 2017): each image should be nearer to the images of its class than to those of another
class, within the batch, by a margin that is soft. Labels only say which images share a class.
"""

from functools import partial
from typing import Literal

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Section, Widths
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(mining="hardest", projection=(), augmentation=dict(erase=dict(p=0.5, min_area=0.1, max_area=0.3)))


def make(task: Task, *, mining: Literal["hardest", "all"], projection: Widths, augmentation: Section) -> Objective:
    """Make the objective, by Euclidean distance.

    Args:
      task: must have classes; only whether two labels are equal counts.
      mining: which triplets of a batch count: of each image the hardest, of its farthest image of its class and its
        nearest of another; or all of them, which also learns where classes overlap so much that the hardest
        triplets draw everything together, but takes the cube of the batch size.
      projection: widths of an MLP whose outputs are compared; with none, the embeddings themselves are.
      augmentation: applied to each training image.
    """
    objectives.need_classes(task, name="triplet")
    head = model.MLP(tuple(projection), dropout=0.0)
    return Objective(head, objectives.single_view(augmentation), partial(_score, mining=mining))


def _score(seen: Seen, *, mining: str) -> Scores:
    cost = losses.triplet if mining == "hardest" else losses.all_triplets
    loss = cost(seen.outputs.prediction, seen.target.labels)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}
