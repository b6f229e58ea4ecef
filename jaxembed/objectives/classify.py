"""Encoder and classifier trained jointly with cross-entropy."""

from functools import partial
from itertools import product

import jax.numpy as jnp

from jaxembed import losses, model, objectives, options
from jaxembed.types import Batch, Images, InputError, Objective, Outputs, Scores, Section, Task


def make(
    task: Task,
    *,
    hidden: tuple[int, ...],
    dropout: float,
    smoothing: float,
    mirrored: bool,
    shifted: int,
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
      shifted: so, too, with the image moved by every number of whole pixels up to this, for (2·shifted + 1)² times
        the work; what lies beyond an edge is mirrored.
      augmentation: what is done to each training image.
    """
    options.bounded("config.objective", "> 0", hidden=hidden)
    options.bounded("config.objective", "at least 0 and below 1", dropout=dropout, smoothing=smoothing)
    options.bounded("config.objective", ">= 0", shifted=shifted)
    if shifted >= (side := min(task.image_shape[:2])):
        raise InputError(f"config.objective.shifted must be less than the image's {side}, got {shifted}")
    head = model.MLP((*hidden, task.classes), dropout)
    views, score = objectives.single_view(augmentation), partial(_score, smoothing=smoothing)
    variants = partial(_variants, mirrored=mirrored, shifted=shifted)
    return Objective(head, views, score, reports=("accuracy",), variants=variants)


def _variants(images: Images, *, mirrored: bool, shifted: int) -> list[Images]:
    """Mirror and move the images in every way, but for the one that leaves them as they are."""
    _, height, width, _ = images.shape
    padding = (0, 0), (shifted, shifted), (shifted, shifted), (0, 0)
    sides = [images, images[:, :, ::-1]] if mirrored else [images]
    padded = [jnp.pad(side, padding, mode="reflect") for side in sides]
    places = range(2 * shifted + 1)
    return [
        each[:, down : down + height, right : right + width]
        for each, down, right in product(padded, places, places)
        if each is not padded[0] or (down, right) != (shifted, shifted)
    ]


def _score(outputs: Outputs, target: Batch, *, smoothing: float) -> Scores:
    right = jnp.argmax(outputs.prediction, axis=-1) == target.labels
    return {
        "loss": losses.cross_entropy(outputs.prediction, target.labels, smoothing=smoothing),
        "accuracy": right.astype(jnp.float32),
    }
