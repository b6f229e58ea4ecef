"""Encoders, one a file: image -> embedding. The file is the name, its `make` takes the config's options.

Each file has a module `Encoder`. One that can be undone has a method `decoder(image_shape)`: the module from
its embedding back to images in [0, 1], which the objective `reconstruct` trains as its head.
"""

from flax import linen as nn

from jaxembed import encoders, options
from jaxembed.types import Section


def make(section: Section) -> nn.Module:
    """Make the encoder that config.encoder names; InputError if the name or an option does not exist."""
    name, given = options.named(section, what="config.encoder")
    module = options.find(encoders, name, what="config.encoder.name")
    return options.call(module.make, given, what="config.encoder")


def with_decoder() -> tuple[str, ...]:
    """List the names of the encoders that can be undone."""
    known = options.names(encoders)
    return tuple(
        name
        for name in known
        if hasattr(options.find(encoders, name, what="config.encoder.name").Encoder, "decoder")
    )
