"""Encoder and classifier trained jointly with cross-entropy."""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxembed import losses, model, objectives, registry
from jaxembed.types import Batch, Objective, Outputs, Scores, Section, Task


def make(
    task: Task,
    *,
    hidden: Sequence[int],
    dropout: float,
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is an MLP classifier on the embedding.

    Args:
      task: its classes are what is predicted.
      hidden: widths of the classifier's hidden layers; none makes it linear.
      dropout: probability of dropping one of their units.
      augmentation: what is done to each training image.
    """
    registry.positive("config.objective", hidden=hidden)
    registry.probability("config.objective", dropout=dropout)
    head = model.MLP((*hidden, task.classes), dropout)
    return Objective(head, objectives.single_view(augmentation), _score, reports=("accuracy",))


def _score(outputs: Outputs, target: Batch) -> Scores:
    right = jnp.argmax(outputs.prediction, axis=-1) == target.labels
    return {
        "loss": losses.cross_entropy(outputs.prediction, target.labels),
        "accuracy": right.astype(jnp.float32),
    }
