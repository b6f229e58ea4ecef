"""Kinds of values in a JSON file, and checking that a file holds the kinds that its readers rely on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxembed.core.errors import InputError

# Larger numbers are damage: no measurement comes near, and arithmetic with them would overflow.
LARGEST = 1e30


class Kind(NamedTuple):
    """What a value must be: in words, and whether a value is."""

    words: str
    admits: Callable[[Any], bool]


def check(
    file: Path, tree: Mapping[str, Any], kinds: Mapping[str, Kind], *, optional: tuple[str, ...] = ()
) -> None:
    """Check the values of a JSON file: `section.key` -> kind; a key that is optional may be missing.

    Raises:
      InputError: if a key is missing, or a value has a different kind.
    """
    flat = {path: _find(tree, path) for path in kinds}
    missing = [path for path, found in flat.items() if not found and path not in optional]
    if missing := [path for path in missing if path.rpartition(".")[0] not in missing]:
        raise InputError(f"{file} is damaged, or from an earlier version: it lacks {', '.join(missing)}")
    for path, found in flat.items():
        if found and not kinds[path].admits(*found):
            raise InputError(f"{file} is damaged: {path} must be {kinds[path].words}, got {_short(*found)}")


def is_number(value: Any) -> bool:
    """Whether a value is a number of a size that can be calculated with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def one_of(*texts: str) -> Kind:
    """Make the kind of a value that is one of some texts."""
    return Kind(f"one of {', '.join(texts)}", lambda value: value in texts)


def or_null(kind: Kind) -> Kind:
    """Make the kind of a value that may also be null."""
    return Kind(f"{kind.words}, or null", lambda value: value is None or kind.admits(value))


def by_name(kind: Kind) -> Kind:
    """Make the kind of an object whose values are all of one kind."""
    return Kind(
        f"an object in which each value is {kind.words}",
        lambda value: isinstance(value, dict) and all(map(kind.admits, value.values())),
    )


TEXT = Kind("a text", lambda value: isinstance(value, str))
NAME = Kind("a text that is not empty", lambda value: isinstance(value, str) and bool(value))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", is_number)
POSITIVE = Kind("a number above 0", lambda value: is_number(value) and value > 0)
AMOUNT = Kind("a number, at least 0", lambda value: is_number(value) and value >= 0)
INTEGER = Kind("an integer", lambda value: is_number(value) and isinstance(value, int))
COUNT = Kind("an integer, at least 0", lambda value: INTEGER.admits(value) and value >= 0)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))


def _find(tree: Any, path: str) -> tuple[Any, ...]:
    """Find a value by its dotted path: (value,), or () where there is none."""
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return ()
        tree = tree[key]
    return (tree,)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
