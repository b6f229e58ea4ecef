"""SimCLR (Chen et al. 2020): two random views of each image have to find each other among all views in the batch,
by the cosine similarity of projections that are discarded after training. No labels are used: only the
augmentation defines what two views of an image have in common.
"""

from functools import partial

import jax.numpy as jnp

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Count, PositiveFloat, Section, Widths
from jaxembed.devices import mesh
from jaxembed.losses import collapse
from jaxembed.types import Objective, Scores, Seen, Task

SMALLEST = dict(temperature=0.5, projection=(8, 4), augmentation=dict(crop=dict(min_area=0.5, max_area=1.0)))
# Where `tile` is 0, the plain form may take this share of a device's memory for its copies of the [n, n] matrix:
# similarities, logits and their gradient.
SHARE, COPIES = 0.25, 3
TILE = 1024


def make(
    task: Task,
    *,
    temperature: PositiveFloat,
    projection: Widths,
    augmentation: Section,
    tile: Count = 0,
) -> Objective:
    """Make the objective; the head is the projection, which is discarded after training.

    Args:
      task: ignored, because SimCLR uses no labels.
      temperature: dimensionless; the smaller, the more weight the nearest negatives have.
      projection: widths of the MLP whose outputs are compared.
      augmentation: applied to each image twice, to make its two views.
      tile: rows and columns of similarities that are in memory at a time; 0 for all of them where they take less
        than a quarter of a device's memory, else 1,024. The loss is the same up to rounding.
    """
    head = model.MLP(tuple(projection), dropout=0.0)
    views, score = objectives.several_views(augmentation), partial(_score, temperature=temperature, tile=tile)
    return Objective(head, views, score)


def _score(seen: Seen, *, temperature: float, tile: int) -> Scores:
    rows = seen.outputs.prediction
    if tile := tile or _needed(len(rows)):
        loss = losses.ntxent_tiled(rows, temperature=temperature, tile=tile)
    else:
        loss = losses.ntxent(rows, temperature=temperature)
    return {"loss": loss, "spread": collapse.spread(seen.outputs.embedding)}


def _needed(n: int) -> int:
    """Return the tile that n rows need, 0 if they need none."""
    plain = COPIES * n * n * jnp.float32.dtype.itemsize / mesh.size()
    return TILE if plain > SHARE * mesh.memory() else 0
