"""A folder is a registry: its files are the names, each file's `make` is the constructor."""

import difflib
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from jaxembed.types import InputError, Section


def names(package: ModuleType) -> tuple[str, ...]:
    """List what a package registers: its modules, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def find(package: ModuleType, name: str, *, what: str) -> ModuleType:
    """Import the module that a name stands for; InputError lists the names there are."""
    choose(name, names(package), what=what)
    return importlib.import_module(f"{package.__name__}.{name}")


def choose(name: Hashable, known: Iterable[Hashable], *, what: str) -> None:
    """Raise an InputError that lists what is known, unless the name is among it."""
    known = tuple(known)
    if name not in known:
        listed = ", ".join(map(str, known))
        raise InputError(f"{what} must be one of {listed}; got {name!r}{nearest(name, known)}")


def section(options: Any, *, what: str) -> dict[str, Any]:
    """Return a config section as a dict; InputError if it is a plain value."""
    if not isinstance(options, Mapping | ConfigDict):
        raise InputError(f"{what} must be a section of its own, got {options!r}")
    return dict(options)


def named(options: Any, *, what: str) -> tuple[str, dict[str, Any]]:
    """Take the name out of a config section: (name, the other options)."""
    options = section(options, what=what)
    if "name" not in options:
        raise InputError(f"{what} lacks a name; got {', '.join(options) or 'nothing'}")
    return options.pop("name"), options


def call(function: Callable[..., Any], options: Any, *given: Any, what: str) -> Any:
    """Call a function with the options of one config section, after checking that they fit its signature.

    Args:
      function: takes the options as keyword-only arguments without defaults.
      options: the section's keys and values.
      *given: the positional arguments; not the user's to set.
      what: the section's name, as the user writes it: `config.encoder`.
    Raises:
      InputError: naming an unknown option (and the nearest one), a missing one, or one of a wrong type.
    """
    options = section(options, what=what)
    signature = inspect.signature(function)
    wanted = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in wanted:
            takes = ", ".join(wanted) or "none"
            raise InputError(f"{what} has no option {option!r}{nearest(option, wanted)}; it takes: {takes}")
    if missing := [name for name in wanted if name not in options]:
        raise InputError(f"{what} lacks {', '.join(missing)}; got {', '.join(options) or 'nothing'}")
    for name, value in options.items():
        fits, kind = TYPES.get(signature.parameters[name].annotation, (lambda _: True, ""))
        if not fits(value):
            raise InputError(f"{what}.{name} must be {kind}, got {value!r}")
    return function(*given, **options)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


# Of an option by its annotation: what holds of a value that fits, and its name. Other annotations are not checked.
TYPES: dict[Any, tuple[Callable[[Any], bool], str]] = {
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
    Section: (lambda value: isinstance(value, Mapping | ConfigDict), "a section of its own"),
}


def bounded(what: str, bound: str, **numbers: int | float | tuple[int | float, ...]) -> None:
    """Raise an InputError that names the first number out of bounds; `what` is the section's name.

    Args:
      what: `config.encoder`.
      bound: one of BOUNDS, for all the numbers.
      **numbers: by their names in the section; of a tuple, each.
    """
    for name, value in numbers.items():
        if not all(BOUNDS[bound](number) for number in (value if isinstance(value, tuple) else (value,))):
            raise InputError(f"{what}.{name} must be {bound}, got {value}")


BOUNDS = {
    "> 0": lambda number: number > 0,
    ">= 0": lambda number: number >= 0,
    "at least 0 and below 1": lambda number: 0 <= number < 1,
}


def nearest(name: Hashable, known: Iterable[Hashable]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or nothing if none is close."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
