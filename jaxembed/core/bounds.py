"""Bounds: what a type and its bounds let a value of a config be, and a value as text for an error."""

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from ml_collections import ConfigDict

from jaxembed.core.errors import InputError


class Bound(NamedTuple):
    """What a number must be, or each in a tuple, besides its type: in the words of an error, and whether it is."""

    words: str
    holds: Callable[[Any], bool]


class Length(NamedTuple):
    """How long a tuple may be."""

    least: int
    most: int


def above(low: int) -> Bound:
    """Make the bound of numbers above one."""
    return Bound(f"> {low}", lambda number: number > low)


def least(low: int) -> Bound:
    """Make the bound of numbers from one on."""
    return Bound(f">= {low}", lambda number: number >= low)


def most(high: int) -> Bound:
    """Make the bound of numbers up to one."""
    return Bound(f"<= {high}", lambda number: number <= high)


def within(low: int | float, high: int | float) -> Bound:
    """Make the bound of numbers from one to another, both included."""
    return Bound(f"in [{low:g}, {high:g}]", lambda number: low <= number <= high)


# Annotations of options: a type and its bounds. They have an upper end as well: Python's numbers have none, and JAX
# counts in 32 bits.
LARGEST = 2**31 - 1
Positive = Annotated[int, above(0), most(LARGEST)]
Count = Annotated[int, least(0), most(LARGEST)]
# The square of a number between these is one that float32 has.
_SQUARED = Bound("in [1e-12, 1e9]", lambda number: 1e-12 <= number <= 1e9)
PositiveFloat = Annotated[float, above(0), _SQUARED]
NonNegative = Annotated[float, least(0), Bound("<= 1e9", lambda number: number <= 1e9)]
NonNegatives = Annotated[tuple[float, ...], *NonNegative.__metadata__, Length(0, 16)]
Share = Annotated[float, within(0, 1)]
Fraction = Annotated[float, Bound("in [0, 1)", lambda number: 0 <= number < 1)]
# A share of something if below 1, else a whole number of it.
PORTION = Bound("a share below 1 or a whole number", lambda number: number < 1 or number == int(number))
Portion = Annotated[float, least(0), most(LARGEST), PORTION]
# Of a layer; and how often a layer is repeated, which takes longer to compile each time.
Width = Annotated[int, above(0), most(65536)]
Depth = Annotated[int, above(0), most(64)]
Widths = Annotated[tuple[int, ...], above(0), most(65536), Length(0, 64)]
SomeWidths = Annotated[tuple[int, ...], above(0), most(65536), Length(1, 64)]
# A number for each channel of an image, or none at all.
Means = Annotated[tuple[float, ...], within(-1e9, 1e9), Length(0, 3)]
Deviations = Annotated[tuple[float, ...], above(0), _SQUARED, Length(0, 3)]
Section = Mapping[str, Any] | ConfigDict

# Whatever an annotation says, JAX has no numbers beyond these.
_FITTING = {
    int: Bound("in [-2147483648, 2147483647]", lambda number: -LARGEST - 1 <= number <= LARGEST),
    float: Bound("in [-3.4e+38, 3.4e+38]", lambda number: -3.4e38 <= number <= 3.4e38),
}


def check(value: Any, kind: Any, bounds: Sequence[Bound | Length], *, what: str) -> Any:
    """Return a value that has a type and is within bounds: the same one, or as a float what may be a whole number.

    Args:
      value: anything.
      kind: the type; those that are not in this file are not checked.
      bounds: the bounds of the number, or of each in a tuple, and of the tuple's length.
      what: the option's name, as the user writes it: `config.encoder.latent`.

    Raises:
      InputError: if it does not fit.
    """
    fits, words = _TYPES.get(kind, (lambda _: True, ""))
    if not fits(value):
        raise InputError(f"{what} must be {words}, got {shown(value)}")
    numbers = value if isinstance(value, tuple) else (value,)
    # The type's own bound comes last, so that an annotation's are named before it.
    fitting = _FITTING.get({tuple[int, ...]: int, tuple[float, ...]: float}.get(kind, kind))
    for bound in (*bounds, fitting) if fitting else bounds:
        if isinstance(bound, Length):
            _check_length(numbers, bound, what=what)
        elif not all(map(bound.holds, numbers)):
            raise InputError(f"{what} must be {bound.words}, got {shown(value)}")
    if kind == tuple[float, ...]:
        return tuple(map(float, value))
    return float(value) if kind is float else value


def _check_length(numbers: tuple[Any, ...], length: Length, *, what: str) -> None:
    if len(numbers) > length.most:
        raise InputError(f"{what} must be at most {length.most} long, got {len(numbers)} numbers")
    if len(numbers) < length.least:
        raise InputError(f"{what} must not be empty")


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
    tuple[float, ...]: (
        lambda value: isinstance(value, tuple) and all(map(_is_number, value)),
        "a tuple of finite numbers",
    ),
    tuple[str, ...]: (
        lambda value: isinstance(value, tuple) and all(isinstance(part, str) for part in value),
        "a tuple of names",
    ),
    Section: (lambda value: isinstance(value, Mapping | ConfigDict), "a section"),
}
