"""Bounds: what a type and its bounds let a value of a config be, and a value as text for an error."""

import math
import operator
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from ml_collections import ConfigDict

from jaxembed.core.errors import InputError

# Annotations of options: a type and, in words that an error repeats, bounds of the number or of each in a tuple.
# They have an upper end as well: Python's numbers have none, and JAX counts in 32 bits.
Positive = Annotated[int, "> 0", "<= 2147483647"]
Count = Annotated[int, ">= 0", "<= 2147483647"]
# The square of a number between these is one that float32 has.
PositiveFloat = Annotated[float, "> 0", "in [1e-12, 1e9]"]
NonNegative = Annotated[float, ">= 0", "<= 1e9"]
Share = Annotated[float, "in [0, 1]"]
Fraction = Annotated[float, "in [0, 1)"]
# A share of something if below 1, else a whole number of it.
Portion = Annotated[float, ">= 0", "<= 2147483647", "below 1 or whole"]
# Of a layer; and how often a layer is repeated, which takes longer to compile each time.
Width = Annotated[int, "> 0", "<= 65536"]
Depth = Annotated[int, "> 0", "<= 64"]
Widths = Annotated[tuple[int, ...], "> 0", "<= 65536", "at most 64 long"]
SomeWidths = Annotated[tuple[int, ...], "> 0", "<= 65536", "at most 64 long", "not empty"]
Section = Mapping[str, Any] | ConfigDict

# Whatever an annotation says, JAX has no numbers beyond these.
_FITTING = {int: "in [-2147483648, 2147483647]", float: "in [-3.4e+38, 3.4e+38]"}


def check(value: Any, kind: Any, bounds: Sequence[str], *, what: str) -> Any:
    """Return a value that has a type and is within bounds: the same one, or as a float what may be a whole number.

    Args:
      value: anything.
      kind: the type; types that are not in this file are not checked.
      bounds: what must hold of the number, or of each number in a tuple (`> 0`, `in [0, 1)`, `below 1 or whole`),
        or of the tuple (`not empty`, `at most 64 long`).
      what: the option's name, as the user writes it: `config.encoder.latent`.

    Raises:
      InputError: if it does not fit.
    """
    fits, words = _TYPES.get(kind, (lambda _: True, ""))
    if not fits(value):
        raise InputError(f"{what} must be {words}, got {shown(value)}")
    numbers = value if isinstance(value, tuple) else (value,)
    # The type's own bound comes last, so that an annotation's are named before it.
    fitting = _FITTING.get(int if kind == tuple[int, ...] else kind)
    for bound in (*bounds, fitting) if fitting else bounds:
        if bound == "not empty":
            if not value:
                raise InputError(f"{what} must not be empty")
        elif long := re.fullmatch(r"at most (\d+) long", bound):
            if len(value) > int(long[1]):
                raise InputError(f"{what} must be {bound}, got {len(value)} numbers")
        elif bound == "below 1 or whole":
            if value >= 1 and value != int(value):
                raise InputError(f"{what} must be a share below 1 or a whole number, got {shown(value)}")
        elif not all(_holds(bound, number) for number in numbers):
            raise InputError(f"{what} must be {bound}, got {shown(value)}")
    return float(value) if kind is float else value


def shown(value: Any) -> str:
    """Write out a value for an error: in one line, and short however long the value is."""
    return " ".join(_SHORT.repr(value).split())


class _Short(reprlib.Repr):
    """Python's own `reprlib`, for the values of a config."""

    def __init__(self) -> None:
        super().__init__()
        self.maxtuple = self.maxlist = self.maxdict = 12
        self.maxstring = self.maxother = 200

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write out a number of more than 4,300 digits.
        if value.bit_length() > 128:
            return f"about {'-' if value < 0 else ''}1e{round(value.bit_length() * math.log10(2))}"
        return repr(value)

    def repr_ConfigDict(self, value: ConfigDict, level: int) -> str:  # noqa: N802 (reprlib's name for it)
        return self.repr_dict(dict(value), level)


_SHORT = _Short()


def _holds(bound: str, number: int | float) -> bool:
    """Say whether a number is within a bound: `> 0`, `>= 0`, or an interval such as `in [0, 1)`."""
    if interval := re.fullmatch(r"in ([\[(])(\S+), (\S+)([\])])", bound):
        opening, low, high, closing = interval.groups()
        above, below = _COMPARE[">=" if opening == "[" else ">"], _COMPARE["<=" if closing == "]" else "<"]
        return above(number, float(low)) and below(number, float(high))
    sign, limit = bound.split()
    return _COMPARE[sign](number, float(limit))


_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


# By type: what is true of a value that fits, and the type in words. Other types are not checked.
_TYPES: dict[Any, tuple[Callable[[Any], bool], str]] = {
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a finite number"),
    str: (lambda value: isinstance(value, str), "text"),
    bool: (lambda value: isinstance(value, bool), "True or False"),
    tuple[int, ...]: (
        lambda value: isinstance(value, tuple) and all(map(_is_whole, value)),
        "a tuple of whole numbers",
    ),
    tuple[str, ...]: (
        lambda value: isinstance(value, tuple) and all(isinstance(part, str) for part in value),
        "a tuple of names",
    ),
    Section: (lambda value: isinstance(value, Mapping | ConfigDict), "a section"),
}
