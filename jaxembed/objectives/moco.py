"""MoCo v2 (He et al. 2020; Chen et al. 2020): a view of an image has to find what a teacher makes of the other
view among the teacher's outputs for earlier images, which wait in a queue. So there are many negatives, whatever
the batch. The teacher's weights are a moving average of the network's own. No labels are used.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Positive, PositiveFloat, Section, Share, SomeWidths
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.losses import collapse, numerics
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(
    temperature=0.2,
    projection=(8, 4),
    decay=0.9,
    queue=96,
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)),
)


class Queue(NamedTuple):
    """The teacher's outputs for earlier views, of unit length, and where the next ones go."""

    keys: Float[Array, "q d"]
    next: Int[Array, ""]


def make(
    task: Task,
    *,
    temperature: PositiveFloat,
    projection: SomeWidths,
    decay: Share,
    queue: Positive,
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is the projection, which is discarded after training.

    Args:
      task: ignored, because MoCo uses no labels.
      temperature: dimensionless; the smaller, the more weight the nearest negatives have.
      projection: widths of the MLP whose outputs are compared.
      decay: of the teacher.
      queue: how many of the teacher's outputs are remembered, a multiple of the views of a batch.
      augmentation: applied to each image twice, to make its two views; each has to find the other.
    """
    return Objective(
        model.MLP(tuple(projection), dropout=0.0),
        objectives.several_views(augmentation),
        partial(_score, temperature=temperature),
        teacher=lambda progress: decay,
        memory=partial(_empty, shape=(queue, projection[-1])),
        remember=_remember,
    )


def _score(seen: Seen, *, temperature: float) -> Scores:
    find = partial(losses.infonce, queue=seen.memory.keys, temperature=temperature)
    loss = objectives.across_views(find, seen.outputs.prediction, seen.teacher.prediction, count=2)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}


def _empty(key: Key, *, shape: tuple[int, int]) -> Queue:
    """Make a queue of random directions."""
    return Queue(numerics.normalise(jax.random.normal(key, shape)), jnp.zeros((), jnp.int32))


def _remember(seen: Seen) -> Queue:
    """Put the teacher's outputs in the place of the oldest."""
    queue, made = seen.memory, numerics.normalise(seen.teacher.prediction)
    if len(queue.keys) % len(made):
        raise InputError(
            f"config.objective.queue must be a multiple of the {len(made)} views of a batch, got {len(queue.keys)}"
        )
    keys = lax.dynamic_update_slice_in_dim(queue.keys, made, queue.next, axis=0)
    return Queue(keys, (queue.next + len(made)) % len(queue.keys))
