"""Controls, one a file: what an embedding has to beat. The file is the name.

Its `fit(images, seed, *, <options>)` takes the train images, uint8 [n, h, w, c], learns from them what it learns,
without labels, and returns the function from such images to their vectors, float32 [n, d]; the same seed makes the
same vectors. An option without a default is one of a run, which `measure --like` gives: its `encoder`, its `dtype`.
`SMALLEST` are options for the tests.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed import controls
from jaxembed.core import options

Embed = Callable[[UInt8[np.ndarray, "n h w c"]], Float[np.ndarray, "n d"]]


def names() -> tuple[str, ...]:
    """List the controls."""
    return options.names(controls)


def section(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a control's section of a config.json: its name and all its options, those that are not given as well.

    Raises:
      InputError: if there is no such control, or an option is unknown, missing or does not fit.
    """
    function = _module(name).fit
    return {"name": name} | options.defaults(function) | options.bind(function, given, what=name)


def fit(control: Mapping[str, Any], images: UInt8[np.ndarray, "n h w c"], *, seed: int) -> Embed:
    """Fit the control that a section describes to the train images.

    Raises:
      InputError: if an option does not fit, or the images are too small or too few for it.
    """
    name, given = options.named(control, what="a control")
    return options.call(_module(name).fit, given, images, seed, what=name)


def needed(name: str) -> tuple[str, ...]:
    """List the options of a control that have no default."""
    return tuple(key for key, each in _keywords(_module(name).fit).items() if each.default is each.empty)


def _module(name: str) -> Any:
    return options.find(controls, name, what="a control")


def _keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {key: each for key, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
