"""Objectives, one a file: what to learn from. The file is the name, and its docstring is its description in
reports. Its `make(task, *, <options>)` takes the options of config.objective and returns an `Objective`: how a
batch becomes views, what the head predicts from the embedding, and how that is scored. `SMALLEST` are options for
the tests.
"""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxembed import augment, objectives
from jaxembed.core import bounds, options
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.types import Augment, Batch, Images, Objective, Scalar, Task

# How many views of an image are compared.
Views = Annotated[int, bounds.least(2), bounds.most(64)]
Rows = Float[Array, "n ..."]


def make(section: Any, task: Task) -> Objective:
    """Make the objective that config.objective names; InputError if the name or an option does not exist."""
    name, given = options.named(section, what="config.objective")
    module = options.find(objectives, name, what="config.objective.name")
    return options.call(module.make, given, task, what="config.objective")


def need_classes(task: Task, *, name: str) -> None:
    """Raise an InputError unless there are classes to tell apart; `name` is the objective's."""
    if task.classes < 2:
        raise InputError(
            f"config.objective.name={name!r} needs images of at least 2 classes, got {task.classes or 'none'}; "
            "'ntxent', 'byol' and 'reconstruct' are among those that need no labels"
        )


def single_view(augmentation: Section) -> Callable[[Key, Batch], tuple[Images, Batch]]:
    """Make the `views` of an objective that sees each image once, augmented."""
    augmented = augment.compose(augmentation, what="config.objective.augmentation")

    def views(key: Key, batch: Batch) -> tuple[Images, Batch]:
        return view(augmented, key, batch.images), batch

    return views


def several_views(
    augmentation: Section, second: Section | None = None, *, count: int = 2
) -> Callable[[Key, Batch], tuple[Images, Batch]]:
    """Make the `views` of an objective that compares several views of each image.

    Rows i, i + b, i + 2b, … are the views of image i, and the target has the labels of all rows.

    Args:
      augmentation: applied to each image for each view.
      second: operations in which every other view, the second one first, differs from that; none for none.
      count: how many views of each image there are.
    """
    first = augment.compose(augmentation, what="config.objective.augmentation")
    other = augment.compose({**augmentation, **second}, what="config.objective.second") if second else first

    def views(key: Key, batch: Batch) -> tuple[Images, Batch]:
        target = jax.tree.map(lambda array: jnp.concatenate([array] * count), batch)
        if not second:
            return view(first, key, target.images), target
        view_keys = jax.random.split(key, len(target.images)).reshape(count, -1)
        operations = (first, other) * count
        made = [jax.vmap(operations[i])(view_keys[i], batch.images) for i in range(count)]
        return jnp.concatenate(made), target

    return views


def across_views(
    loss: Callable[[Rows, Rows], Float[Array, " n"]], rows: Rows, targets: Rows, *, count: int
) -> Float[Array, " n"]:
    """Average a loss of pairs over the targets from the other views of each row's image.

    Args:
      loss: (n rows, the n targets that they are paired with) -> [n].
      rows: [n, ...] in the order of `several_views`.
      targets: [n, ...] in the same order.
      count: views of an image, >= 2.
    """
    size = len(rows) // count
    return sum(loss(rows, jnp.roll(targets, size * shift, axis=0)) for shift in range(1, count)) / (count - 1)


def rising(decay: float, progress: Scalar) -> Float[Array, ""]:
    """Let a teacher's decay rise to 1 as half a cosine: 1 - (1 - decay) · (cos(π · progress) + 1) / 2.

    Source: Grill et al. 2020, arXiv:2006.07733, section 3.2.
    """
    return 1 - (1 - decay) * (jnp.cos(jnp.pi * progress) + 1) / 2


def view(augmented: Augment, key: Key, images: Images) -> Images:
    """Augment each of n images [n, h, w, c] with its own key."""
    return jax.vmap(augmented)(jax.random.split(key, len(images)), images)
