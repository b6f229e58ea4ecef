"""An autoencoder: the encoder reduces an image to a short code, and a decoder reconstructs the image from it,
scored by the mean absolute error (L1). No labels are used. With a corruption in the config, the network sees a
corrupted copy and reconstructs the clean image (a denoising autoencoder, Vincent et al. 2008).
"""

import jax
import jax.numpy as jnp

from jaxembed import augment, encoders, losses, objectives
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.kernels.fusion import once
from jaxembed.losses import collapse
from jaxembed.types import Batch, Images, Objective, Scores, Seen, Task

SMALLEST = dict(augmentation=dict(), corruption=dict(noise=dict(deviation=0.1)))


def make(
    task: Task,
    *,
    augmentation: Section,
    corruption: Section,
) -> Objective:
    """Make the objective; the head is the encoder's own decoder.

    Args:
      task: its encoder must have a decoder.
      augmentation: applied to each training image before it is reconstructed.
      corruption: applied after that to the image that the network sees, but not to the one it has to reconstruct.

    Raises:
      InputError: if the encoder has no decoder.
    """
    if not hasattr(task.encoder, "decoder"):
        known = ", ".join(encoders.with_decoder())
        raise InputError(
            "config.objective.name='reconstruct' needs an encoder with a decoder, one of "
            f"{known}; got {type(task.encoder).__module__.rpartition('.')[2]!r}"
        )
    augmented = augment.compose(augmentation, what="config.objective.augmentation")
    corrupted = augment.compose(corruption, what="config.objective.corruption")

    def views(key: Key, batch: Batch) -> tuple[Images, Batch]:
        augmentation_key, corruption_key = jax.random.split(key)
        target = objectives.view(augmented, augmentation_key, batch.images)
        if "affine" in augmentation:
            # The network and the loss both read it: without this, the four corners of every moved pixel would be
            # written to memory.
            target = once(target, axis=-2)
        return objectives.view(corrupted, corruption_key, target), batch._replace(images=target)

    return Objective(task.encoder.decoder(task.image_shape), views, _score, reports=("l1",))


def _score(seen: Seen) -> Scores:
    error = losses.l1(seen.outputs.prediction, seen.target.images)
    # Where most pixels are 0, black is a stationary point of L1: a run that is stuck there has no spread.
    images = jnp.mean(collapse.deviation(seen.target.images))
    return {"loss": error, "l1": error, "spread": collapse.spread(seen.outputs.prediction, images)}
