"""Options: what a config may say. A folder is a registry, and an annotation says what a value must be.

`make(*, latent: Positive)` takes `config.encoder.latent`; `call` checks it before it calls `make`.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import ModuleType
from typing import Annotated, Any, Literal, get_args, get_origin

from ml_collections import ConfigDict

from jaxembed.core import bounds
from jaxembed.core.errors import InputError


def names(package: ModuleType) -> tuple[str, ...]:
    """List what a package registers: its modules, in alphabetical order; packages inside it are not registered."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg))


def find(package: ModuleType, name: str, *, what: str) -> ModuleType:
    """Import the module that a name stands for; InputError lists the names there are."""
    choose(name, names(package), what=what)
    return importlib.import_module(f"{package.__name__}.{name}")


def choose(name: Any, known: Iterable[Hashable], *, what: str) -> None:
    """Raise an InputError that lists the known names, unless the name is one of them."""
    known = tuple(known)
    # 18.0 equals 18, and True equals 1, but neither is what was meant.
    if not any(type(name) is type(each) and name == each for each in known):
        raise InputError(f"{what} must be one of {_listed(known)}; got {bounds.shown(name)}{nearest(name, known)}")


def section(value: Any, *, what: str) -> dict[str, Any]:
    """Return a config section as a dict; InputError if it is a plain value."""
    if not isinstance(value, Mapping | ConfigDict):
        raise InputError(f"{what} must be a section, got {bounds.shown(value)}")
    return dict(value)


def named(value: Any, *, what: str) -> tuple[str, dict[str, Any]]:
    """Take the name out of a config section: (name, the other options)."""
    options = section(value, what=what)
    if "name" not in options:
        raise InputError(f"{what} lacks a name; got {_listed(options) or 'nothing'}")
    if not isinstance(options["name"], str):
        raise InputError(f"{what}.name must be text, got {bounds.shown(options['name'])}")
    return options.pop("name"), options


def call(function: Callable[..., Any], value: Any, *given: Any, what: str) -> Any:
    """Call a function with the options of a config section, as `bind` checks them.

    Args:
      function: takes the options as keyword-only arguments.
      value: the section.
      *given: the positional arguments, which the user does not set.
      what: the section's name, as the user writes it: `config.encoder`.
    """
    return function(*given, **bind(function, value, what=what))


def bind(function: Callable[..., Any], value: Any, *, what: str) -> dict[str, Any]:
    """Return the options of a config section after checking them against a function's keyword-only arguments.

    Raises:
      InputError: naming an unknown or a missing option, or one of a wrong type or out of bounds.
    """
    (bound,) = divide(value, function, what=what)
    return bound


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword-only arguments of a function that may be left out, and the values that they then have."""
    return {name: p.default for name, p in _keywords(function).items() if p.default is not p.empty}


def divide(value: Any, *functions: Callable[..., Any], what: str) -> list[dict[str, Any]]:
    """Return each function's options, checked as by `bind`, from a config section that the functions share."""
    takes = [_keywords(function) for function in functions]
    known = {name: parameter.annotation for each in takes for name, parameter in each.items()}
    optional = {name for function in functions for name in defaults(function)}
    if not isinstance(value, Mapping | ConfigDict):
        raise InputError(
            f"{what} must be a section with {', '.join(known) or 'no options'}; got {bounds.shown(value)}"
        )
    options = dict(value)
    for name in options:
        if name not in known:
            taken = ", ".join(known) or "none"
            raise InputError(f"{what} has no option {bounds.shown(name)}{nearest(name, known)}; it takes: {taken}")
    if missing := [name for name in known if name not in options and name not in optional]:
        raise InputError(f"{what} lacks {', '.join(missing)}; got {_listed(options) or 'nothing'}")
    checked = {name: _checked(option, known[name], what=f"{what}.{name}") for name, option in options.items()}
    return [{name: checked[name] for name in each if name in checked} for each in takes]


def nearest(name: Any, known: Iterable[Hashable]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or nothing if none is close."""
    close = difflib.get_close_matches(_text(name), list(map(str, known)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _text(name: Any) -> str:
    return name if isinstance(name, str) else bounds.shown(name)


def _listed(names: Iterable[Any]) -> str:
    return " ".join(", ".join(map(_text, names)).split())


def _keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only arguments of a function, by name; one with a default may be left out."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def _checked(value: Any, annotation: Any, *, what: str) -> Any:
    """Return a value that fits its annotation: the same one, or as a float what may be a whole number."""
    kind, *limits = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if get_origin(kind) is Literal:
        choose(value, get_args(kind), what=what)
    return bounds.check(value, kind, limits, what=what)
