"""DINO (Caron et al. 2021): a network learns to sort a view of an image into the same of many unnamed groups as
its teacher sorts another view, whose weights are a moving average of the network's own. The teacher's outputs are
sharpened, and centred so that no group takes all images. No labels are used, and no two images are compared.
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import PositiveFloat, Section, Share, SomeWidths, Width
from jaxembed.core.keys import Key
from jaxembed.losses import collapse, numerics
from jaxembed.objectives import Views
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    projection=(8, 4),
    prototypes=6,
    student_temperature=0.5,
    teacher_temperature=0.2,
    decay=0.9,
    centre_decay=0.9,
    views=2,
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
    second=dict(),
)


def make(
    task: Task,
    *,
    projection: SomeWidths,
    prototypes: Width,
    student_temperature: PositiveFloat,
    teacher_temperature: PositiveFloat,
    decay: Share,
    centre_decay: Share,
    views: Views,
    augmentation: Section,
    second: Section,
) -> Objective:
    """Make the objective; the embedding is the teacher's.

    Args:
      task: ignored, because DINO uses no labels.
      projection: widths of the MLP whose outputs are compared with the prototypes, with BatchNorm between them.
      prototypes: directions that stand for a group each.
      student_temperature: dimensionless.
      teacher_temperature: dimensionless; below the student's, so that the teacher is the more certain of the two.
      decay: of the teacher at first; it rises to 1 as half a cosine.
      centre_decay: of the moving average of the teacher's outputs.
      views: views of each image, all of one size; each learns from all others.
      augmentation: applied to each image for each view.
      second: operations in which every other view differs from that.
    """
    temperatures = {"student_temperature": student_temperature, "teacher_temperature": teacher_temperature}
    return Objective(
        Prototypes(tuple(projection), prototypes),
        objectives.several_views(augmentation, second, count=views),
        partial(_score, views=views, **temperatures),
        teacher=partial(objectives.rising, decay),
        evaluates_teacher=True,
        memory=partial(_zero, prototypes),
        remember=partial(_remember, decay=centre_decay),
    )


class Prototypes(nn.Module):
    """A projector, and the cosines between what it makes of a row and each of some directions."""

    projection: Sequence[int]
    prototypes: int

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, train: bool) -> Float[Array, "n p"]:
        """Compare n rows with p prototypes."""
        x = model.Projector(self.projection)(x, train=train)
        directions = self.param("prototypes", model.directions, (self.prototypes, x.shape[-1]))
        return numerics.cosines(x, directions)


def _score(seen: Seen, *, views: int, **temperatures: float) -> Scores:
    agree = partial(losses.dino, centre=seen.memory, **temperatures)
    loss = objectives.across_views(agree, seen.outputs.prediction, seen.teacher.prediction, count=views)
    return {"loss": loss, "spread": collapse.spread(seen.teacher.embedding)}


def _zero(prototypes: int, key: Key) -> Float[Array, " p"]:
    return jnp.zeros(prototypes)


def _remember(seen: Seen, *, decay: float) -> Float[Array, " p"]:
    """Move the centre towards the mean of the teacher's outputs."""
    return decay * seen.memory + (1 - decay) * jnp.mean(seen.teacher.prediction, axis=0)
