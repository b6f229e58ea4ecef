"""Image embeddings, learned in fourteen ways in pure JAX: a run is dataset × encoder × objective.

`jaxembed.load("checkpoints/simclr_cifar").embed(images)` embeds images with a trained encoder.
"""

import os
from typing import TYPE_CHECKING, Any

from jaxembed.cli import signals

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder

__version__ = "0.1.0"

signals.begin_module()  # here, because what a program is in is imported before itself


def pretrained() -> tuple[str, ...]:
    """List the names that `load` knows: encoders that are part of the package, and published ones."""
    from jaxembed.embed import frozen  # here, because it imports jax, which reports do not need

    return frozen.pretrained()


def load(run: "str | os.PathLike", **asked: Any) -> "Encoder":
    """Load the encoder of a finished run, a pretrained encoder by name or file, as `frozen.load` does.

    Args:
      run: a run folder, an encoder file, a published model's file or folder, an ONNX file, or a name.
      **asked: how an ONNX encoder is used, where its file does not say it: size, mean, std, interpolation and
        output_name, as in `onnx_asked.Asked`.
    """
    from jaxembed.embed import frozen, onnx_asked

    return frozen.load(run, onnx_asked.make(**asked))
