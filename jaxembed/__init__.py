"""Image embeddings, learned four ways in pure JAX: a run is dataset × encoder × objective.

`jaxembed.load("checkpoints/simclr_cifar").embed(images)` embeds images with a trained encoder.
"""

import os
from typing import TYPE_CHECKING

from jaxembed.cli import signals

if TYPE_CHECKING:
    from jaxembed.embed.frozen import FrozenEncoder

__version__ = "0.1.0"

signals.begin_module()  # here, because what a program is in is imported before itself


def pretrained() -> tuple[str, ...]:
    """List the names that `load` knows: encoders that are part of the package, and published ones."""
    from jaxembed.embed import frozen  # here, because it imports jax, which reports do not need

    return frozen.pretrained()


def load(run: "str | os.PathLike") -> "FrozenEncoder":
    """Load the encoder of a finished run, or a pretrained encoder by name or file, as `frozen.load` does."""
    from jaxembed.embed import frozen

    return frozen.load(run)
