"""Augmentation: one key and one float image in [0, 1] in, an image of the same shape in [0, 1] out.

`vmap` makes a batch of it. Under `vmap` both sides of a branch run, so chance is `jnp.where`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxembed.augment import colour, occlusion, spatial
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.types import Augment, Image

# In the order in which they run. A new one comes last: the others then draw what they drew before.
OPERATIONS: dict[str, Callable[..., Image]] = {
    operation.__name__: operation
    for operation in (
        spatial.crop,
        spatial.affine,
        spatial.flip,
        colour.jitter,
        colour.greyscale,
        occlusion.erase,
        colour.noise,
        occlusion.mask,
        spatial.translate,
        spatial.elastic,
        colour.solarise,
    )
}


def compose(section: Any, *, what: str) -> Augment:
    """Build the augmentation that a config section describes.

    The operations run in the order of `OPERATIONS`, whatever the section's. Each has its own key by its position
    in that table, so adding one to a config does not change what the others draw.

    Args:
      section: operation -> its knobs: `dict(crop=dict(min_area=0.2, max_area=1.0), flip=dict(p=0.5))`.
        An operation that is not named does not run; an empty section is the identity.
      what: the section's name, as the user writes it: `config.objective.augmentation`.
    Raises:
      InputError: for an unknown operation, a missing or unknown knob, or one out of bounds; and when it is called,
        for an image that an operation cannot take.
    """
    section = options.section(section, what=what)
    for name in section:
        options.choose(name, OPERATIONS, what=f"an operation of {what}")
    steps = {
        name: functools.partial(operation, **_knobs(operation, section[name], what=f"{what}.{name}"))
        for name, operation in OPERATIONS.items()
        if name in section
    }

    def augment(key: Key, image: Image) -> Image:
        keys = dict(zip(OPERATIONS, jax.random.split(key, len(OPERATIONS)), strict=True))
        augmented = image
        for name, step in steps.items():
            try:
                augmented = step(keys[name], augmented)
            except InputError as error:
                raise InputError(f"{what}.{name}.{error}") from error
        return augmented.astype(image.dtype)

    return augment


def _knobs(operation: Callable[..., Image], value: Any, *, what: str) -> dict[str, int | float]:
    knobs = options.bind(operation, value, what=what)
    for high in (name for name in knobs if name.startswith("max_")):
        low = high.replace("max_", "min_")
        if knobs[low] > knobs[high]:
            raise InputError(f"{what}.{low} must be at most {high}, got {knobs[low]} and {knobs[high]}")
    return knobs
