"""SimCLR: make two views of one image agree and all others differ; no labels."""

from functools import partial

import jax.numpy as jnp

from jaxembed import augment, collapse, losses, model, objectives, options
from jaxembed.types import Batch, Images, Key, Objective, Outputs, Scores, Section, Task


def make(
    task: Task,
    *,
    temperature: float,
    projection: tuple[int, ...],
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is the projection, which is thrown away after training.

    Args:
      task: not used: SimCLR sees no labels.
      temperature: > 0; the smaller, the more the nearest negatives weigh.
      projection: widths of the MLP whose outputs are compared.
      augmentation: what is done to each image, twice, to make its two views.
    """
    options.bounded("config.objective", "> 0", temperature=temperature, projection=projection)
    augmented = augment.compose(augmentation, what="config.objective.augmentation")

    def views(key: Key, batch: Batch) -> tuple[Images, Batch]:
        # Rows i and i + b are the two views of image i: the order that losses.ntxent wants.
        twice = jnp.concatenate([batch.images, batch.images])
        return objectives.view(augmented, key, twice), batch

    head = model.MLP(tuple(projection), dropout=0.0)
    return Objective(head, views, partial(_score, temperature=temperature), reports=())


def _score(outputs: Outputs, target: Batch, *, temperature: float) -> Scores:
    loss = losses.ntxent(outputs.prediction, temperature=temperature)
    return {"loss": loss, "spread": collapse.spread(outputs.embedding)}
