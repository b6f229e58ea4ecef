"""Objectives, one a file: what to learn from. The file is the name, and its docstring is its description in
reports.

Its `make(task, *, <options>)` takes the options of config.objective and returns an `Objective`: how a batch becomes
views, what the head predicts from the embedding, and how that is scored. `SMALLEST` are options for the tests.
"""

from collections.abc import Callable
from typing import Any

import jax

from jaxembed import augment, objectives
from jaxembed.core import options
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.types import Augment, Batch, Images, Objective, Task


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
            "'ntxent' and 'reconstruct' need no labels"
        )


def single_view(augmentation: Section) -> Callable[[Key, Batch], tuple[Images, Batch]]:
    """Make the `views` of an objective that sees each image once, augmented."""
    augmented = augment.compose(augmentation, what="config.objective.augmentation")

    def views(key: Key, batch: Batch) -> tuple[Images, Batch]:
        return view(augmented, key, batch.images), batch

    return views


def view(augmented: Augment, key: Key, images: Images) -> Images:
    """Augment each of n images [n, h, w, c] with its own key."""
    return jax.vmap(augmented)(jax.random.split(key, len(images)), images)
