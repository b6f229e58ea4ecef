"""The encoder and a classifier are one network, trained with cross-entropy to predict the class of an augmented
image. The embedding is the classifier's input. With test-time variants (the options mirrored and shifted), the
classifier's own accuracy is measured on the mean embedding of an image and its variants.
"""

from functools import partial
from itertools import product

import jax.numpy as jnp

from jaxembed import losses, model, objectives
from jaxembed.core.bounds import Count, Fraction, Section, Widths
from jaxembed.core.errors import InputError
from jaxembed.types import Images, Objective, Scores, Seen, Task

SMALLEST = dict(
    hidden=(8,), dropout=0.1, smoothing=0.0, mirrored=False, shifted=0, augmentation=dict(flip=dict(p=0.5))
)


def make(
    task: Task,
    *,
    hidden: Widths,
    dropout: Fraction,
    smoothing: Fraction,
    mirrored: bool,
    shifted: Count,
    augmentation: Section,
) -> Objective:
    """Make the objective; the head is an MLP classifier on the embedding.

    Args:
      task: its classes are predicted.
      hidden: widths of the classifier's hidden layers; with none it is linear.
      dropout: probability of dropping one of their units.
      smoothing: share of the target's probability that is spread over all classes (Szegedy et al. 2016, section 7).
      mirrored: whether an image's mirror image is a test-time variant of it, for twice the work; the embedding
        remains the image's own.
      shifted: pixels; the image moved by every whole number of pixels up to this is a test-time variant as well,
        for (2·shifted + 1)² times the work; beyond an edge the image is mirrored.
      augmentation: applied to each training image.
    """
    objectives.need_classes(task, name="classify")
    if shifted >= (side := min(task.image_shape[:2])):
        raise InputError(f"config.objective.shifted must be less than the image's {side}, got {shifted}")
    head = model.MLP((*hidden, task.classes), dropout)
    views, score = objectives.single_view(augmentation), partial(_score, smoothing=smoothing)
    variants = partial(_variants, mirrored=mirrored, shifted=shifted)
    return Objective(head, views, score, reports=("accuracy",), variants=variants)


def _variants(images: Images, *, mirrored: bool, shifted: int) -> list[Images]:
    """Mirror and move the images in every way, except the one that leaves them unchanged."""
    _, height, width, _ = images.shape
    padding = (0, 0), (shifted, shifted), (shifted, shifted), (0, 0)
    sides = [images, images[:, :, ::-1]] if mirrored else [images]
    padded = [jnp.pad(side, padding, mode="reflect") for side in sides]
    offsets = range(2 * shifted + 1)
    return [
        each[:, down : down + height, right : right + width]
        for each, down, right in product(padded, offsets, offsets)
        if each is not padded[0] or (down, right) != (shifted, shifted)
    ]


def _score(seen: Seen, *, smoothing: float) -> Scores:
    correct = jnp.argmax(seen.outputs.prediction, axis=-1) == seen.target.labels
    return {
        "loss": losses.cross_entropy(seen.outputs.prediction, seen.target.labels, smoothing=smoothing),
        "accuracy": correct.astype(jnp.float32),
    }
