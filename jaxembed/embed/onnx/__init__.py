"""What a user says of an ONNX encoder whose file does not say it: how pictures become what it takes."""

import argparse
from typing import Any, NamedTuple

from jaxembed.artifacts import identity, preprocessor
from jaxembed.core import bounds, options
from jaxembed.core.bounds import Length

INTERPOLATIONS = tuple(preprocessor.INTERPOLATIONS.values())
_KINDS = {
    "size": (int, bounds.within(1, preprocessor.LARGEST)),
    "mean": (tuple[float, ...], Length(1, 3)),
    "std": (tuple[float, ...], bounds.above(0), Length(1, 3)),
    "interpolation": (str,),
    "output_name": (str,),
}


class Asked(NamedTuple):
    """What a user says; None where they say nothing.

    Attributes:
      size: the pixels of the shorter side that a picture is resized to, before its middle is cut out.
      mean: of pixels in [0, 1], one number or one for each channel.
      std: the standard deviation, likewise; what the model takes is (pixel - mean) / std.
      interpolation: one of INTERPOLATIONS.
      output_name: the output that is the embedding.
    """

    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str | None = None
    output_name: str | None = None

    def __bool__(self) -> bool:
        """Whether the user says anything."""
        return any(value is not None for value in self)

    def __str__(self) -> str:
        """List the flags."""
        return ", ".join(f"--{name}" for name, value in self._asdict().items() if value is not None)


def make(**given: Any) -> Asked:
    """Make it of some attributes; InputError if there is no such attribute, or a value is not what it must be."""
    for name, value in (given := identity.with_tuples(given)).items():
        options.choose(name, Asked._fields, what="an option of an ONNX encoder")
        kind, *limits = _KINDS[name]
        bounds.check(value, kind, limits, what=name)
    if "interpolation" in given:
        options.choose(given["interpolation"], INTERPOLATIONS, what="interpolation")
    return Asked(**given)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a command."""
    group = parser.add_argument_group("an ONNX encoder without a preprocessor_config.json")
    group.add_argument("--size", type=int, help="shorter side in pixels, before the middle is cut out")
    group.add_argument("--mean", type=numbers, help="of pixels in [0, 1], such as 0.485,0.456,0.406")
    group.add_argument("--std", type=numbers, help="standard deviation, such as 0.229,0.224,0.225")
    group.add_argument("--interpolation", choices=INTERPOLATIONS, help="default: bicubic")
    group.add_argument("--output_name", metavar="NAME", help="output that is the embedding")


def of_arguments(arguments: argparse.Namespace) -> Asked:
    """Make it of the flags of a command; InputError as in `make`."""
    given = {name: getattr(arguments, name) for name in Asked._fields}
    return make(**{name: value for name, value in given.items() if value is not None})


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers between commas; for argparse."""
    return tuple(map(float, text.split(",")))
