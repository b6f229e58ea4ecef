"""Encoders, one a file: image -> embedding. The file is the name.

Its `make(*, <options>)` takes the options of config.encoder and returns a Flax module, called with images [n, h, w,
c] and `train`. A module with a method `decoder(image_shape)` can be inverted: it returns the module from the
embedding back to images in [0, 1], which the objective `reconstruct` trains as its head. `SMALLEST` are options for
the tests. Each takes the options of `Origin` as well, which are not its own.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from flax import linen as nn

from jaxembed import encoders
from jaxembed.core import options
from jaxembed.core.errors import InputError

# Options that matter only while an encoder learns: another value of one is the same encoder afterwards.
LEARNING = ("dropout", "decoder_widths", "remat")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What an encoder starts from, as config.encoder says.

    Attributes:
      start: what has its weights: a run's folder, an encoder file or a pretrained encoder; "" for random ones.
      start_sha256: the SHA-256 that those weights must have, in float32; "" for any, until a run has begun: then
        its config.json says which it began with.
    """

    start: str = ""
    start_sha256: str = ""


class Parsed(NamedTuple):
    """What config.encoder says: an encoder, and what it starts from."""

    encoder: nn.Module
    origin: Origin


def make(section: Any) -> nn.Module:
    """Make the encoder that config.encoder names; InputError if the name or an option does not exist."""
    return parse(section).encoder


def parse(section: Any) -> Parsed:
    """Make the encoder, and what it starts from; InputError as `make`, or if only the SHA-256 of that is given."""
    module, own, shared = _divided(section)
    origin = Origin(**shared)
    if origin.start_sha256 and not origin.start:
        raise InputError(f"config.encoder.start_sha256 needs config.encoder.start, got {origin.start!r}")
    return Parsed(module.make(**own), origin)


def architecture(section: Any) -> dict[str, Any]:
    """Return the options by which an encoder computes, those that are left out included; InputError as `make`."""
    module, own, _ = _divided(section)
    complete = {"name": dict(section)["name"]} | options.defaults(module.make) | own
    return {name: value for name, value in complete.items() if name not in LEARNING}


def with_decoder() -> tuple[str, ...]:
    """List the names of the encoders that can be inverted."""
    modules = {name: options.find(encoders, name, what="an encoder") for name in options.names(encoders)}
    return tuple(name for name, module in modules.items() if hasattr(module.make(**module.SMALLEST), "decoder"))


def _divided(section: Any) -> tuple[ModuleType, dict[str, Any], dict[str, Any]]:
    """Divide config.encoder: (the module that it names, its options, those of `Origin`)."""
    name, given = options.named(section, what="config.encoder")
    module = options.find(encoders, name, what="config.encoder.name")
    return module, *options.divide(given, module.make, Origin, what="config.encoder")
