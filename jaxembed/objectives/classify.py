"""Encoder and classifier trained jointly with cross-entropy."""

from functools import partial

import jax.numpy as jnp

from jaxembed import losses, model, objectives, registry
from jaxembed.types import Batch, Objective, Outputs, Scores, Section, Task


def make(
    task: Task,
    *,
    hidden: tuple[int, ...],
    dropout: float,
    smoothing: float,
    mirrored: bool,
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is an MLP classifier on the embedding.

    Args:
      task: its classes are what is predicted.
      hidden: widths of the classifier's hidden layers; none makes it linear.
      dropout: probability of dropping one of their units.
      smoothing: share of the target's probability that goes to all classes alike (Szegedy et al. 2016, section 7).
      mirrored: after training, classify an image by the mean of its embedding and its mirror image's, for twice the
        work; the embedding itself stays the image's own.
      augmentation: what is done to each training image.
    """
    registry.bounded("config.objective", "> 0", hidden=hidden)
    registry.bounded("config.objective", "at least 0 and below 1", dropout=dropout, smoothing=smoothing)
    head = model.MLP((*hidden, task.classes), dropout)
    views, score = objectives.single_view(augmentation), partial(_score, smoothing=smoothing)
    return Objective(head, views, score, reports=("accuracy",), mirrored=mirrored)


def _score(outputs: Outputs, target: Batch, *, smoothing: float) -> Scores:
    right = jnp.argmax(outputs.prediction, axis=-1) == target.labels
    return {
        "loss": losses.cross_entropy(outputs.prediction, target.labels, smoothing=smoothing),
        "accuracy": right.astype(jnp.float32),
    }
