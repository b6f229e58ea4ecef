"""Encoders, one a file: image -> embedding. The file is the name.

Its `make(*, <options>)` takes the options of config.encoder and returns a Flax module, called with images [n, h, w,
c] and `train`. A module with a method `decoder(image_shape)` can be inverted: it returns the module from the
embedding back to images in [0, 1], which the objective `reconstruct` trains as its head. `SMALLEST` are options for
the tests.
"""

from typing import Any

from flax import linen as nn

from jaxembed import encoders
from jaxembed.core import options


def make(section: Any) -> nn.Module:
    """Make the encoder that config.encoder names; InputError if the name or an option does not exist."""
    name, given = options.named(section, what="config.encoder")
    module = options.find(encoders, name, what="config.encoder.name")
    return options.call(module.make, given, what="config.encoder")


def with_decoder() -> tuple[str, ...]:
    """List the names of the encoders that can be inverted."""
    modules = {name: options.find(encoders, name, what="an encoder") for name in options.names(encoders)}
    return tuple(name for name, module in modules.items() if hasattr(module.make(**module.SMALLEST), "decoder"))
