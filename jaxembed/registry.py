"""A folder is a registry: its files are the names, each file's `make` is the constructor."""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Sequence
from types import ModuleType
from typing import Any

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


def named(options: Section, *, what: str) -> tuple[str, dict[str, Any]]:
    """Take the name out of a config section: (name, the other options)."""
    options = dict(options)
    if "name" not in options:
        raise InputError(f"{what} lacks a name; got {', '.join(options) or 'nothing'}")
    return options.pop("name"), options


def call(function: Callable[..., Any], options: Section, *given: Any, what: str) -> Any:
    """Call a function with the options of one config section, after checking that they fit its signature.

    Args:
      function: takes the options as keyword-only arguments without defaults.
      options: the section's keys and values.
      *given: the positional arguments; not the user's to set.
      what: the section's name, as the user writes it: `config.encoder`.
    Raises:
      InputError: naming an unknown option (and the nearest one) or a missing one.
    """
    parameters = inspect.signature(function).parameters.values()
    wanted = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in wanted:
            takes = ", ".join(wanted) or "none"
            raise InputError(f"{what} has no option {option!r}{nearest(option, wanted)}; it takes: {takes}")
    if missing := [name for name in wanted if name not in options]:
        raise InputError(f"{what} lacks {', '.join(missing)}; got {', '.join(options) or 'nothing'}")
    return function(*given, **options)


def positive(what: str, **numbers: int | float | Sequence[int | float]) -> None:
    """Raise an InputError that names the first number that is not > 0; `what` is the section's name."""
    for name, value in numbers.items():
        if not all(number > 0 for number in (value if isinstance(value, Sequence) else (value,))):
            raise InputError(f"{what}.{name} must be > 0, got {value}")


def probability(what: str, **numbers: int | float) -> None:
    """Raise an InputError that names the first number outside [0, 1)."""
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise InputError(f"{what}.{name} must be at least 0 and below 1, got {value}")


def nearest(name: Hashable, known: Iterable[Hashable]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or nothing if none is close."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
