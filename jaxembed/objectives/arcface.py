"""ArcFace (Deng et al. 2019): a classifier whose logits are the cosines between an image's embedding and a
direction for each class, where an image must be nearer in angle to its own class than to any other by a margin. So
images of one class gather around one direction of the embedding.
"""

import math
from functools import partial
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import losses, model, objectives
from jaxembed.core import bounds
from jaxembed.core.bounds import PositiveFloat, Section
from jaxembed.losses import collapse, numerics
from jaxembed.types import Objective, Scores, Seen, Task

Angle = Annotated[float, bounds.within(0, math.pi / 2)]
SMALLEST = dict(margin=0.5, scale=16.0, augmentation=dict(erase=dict(p=0.5, min_area=0.1, max_area=0.3)))


def make(task: Task, *, margin: Angle, scale: PositiveFloat, augmentation: Section) -> Objective:
    """Make the objective; the head is a direction of the embedding for each class.

    Args:
      task: its classes are told apart.
      margin: radians between an image's class and the next, in [0, π/2].
      scale: of the cosines: the logits are within ± this.
      augmentation: applied to each training image.
    """
    objectives.need_classes(task, name="arcface")
    score = partial(_score, margin=margin, scale=scale)
    return Objective(Directions(task.classes), objectives.single_view(augmentation), score, reports=("accuracy",))


class Directions(nn.Module):
    """The cosines between rows and a learned direction for each class."""

    classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, train: bool) -> Float[Array, "n classes"]:
        """Compare n rows with all classes."""
        directions = self.param("directions", model.directions, (self.classes, x.shape[-1]))
        return numerics.cosines(x, directions)


def _score(seen: Seen, *, margin: float, scale: float) -> Scores:
    cosines, labels = seen.outputs.prediction, seen.target.labels
    correct = jnp.argmax(cosines, axis=-1) == labels
    return {
        "loss": losses.arcface(cosines, labels, margin=margin, scale=scale),
        "accuracy": correct.astype(jnp.float32),
        "spread": collapse.spread(seen.outputs.embedding),
    }
