"""The evaluation protocol: how a frozen embedding is measured, as config.evaluate says."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from jaxembed import augment, metrics
from jaxembed.core import options
from jaxembed.core.bounds import Count, Positive
from jaxembed.core.errors import InputError
from jaxembed.metrics import probe
from jaxembed.types import Augment


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What config.evaluate says; each measure takes what it needs by these names.

    Attributes:
      neighbours: k of the kNN classifier.
      distance: its distance, "cosine" or "euclidean".
      views: augmented views of each train image that the probes learn from, in addition to the image itself; in
        linear evaluation each epoch often has its own (Chen et al. 2020), but an encoder is slower than a probe.
      augmentation: makes them, and the two views of each image that are compared; None if there is none.
      linear: the linear probe.
      mlp: the probe with hidden layers.
    """

    neighbours: Positive
    distance: Literal["cosine", "euclidean"]
    views: Count
    augmentation: Augment | None
    linear: probe.Settings
    mlp: probe.Settings


def make(section: Any) -> Protocol:
    """Make the protocol that config.evaluate describes; InputError at what does not fit."""
    what = "config.evaluate"
    for module in metrics.modules():
        for option in metrics.wanted(module):
            if option not in Protocol.__dataclass_fields__:
                raise InputError(f"{module.__name__} asks for {what}.{option}, which is not in the protocol")
    given = options.section(section, what=what)
    parts: dict[str, Any] = {
        "linear": partial(options.call, probe.linear),
        "mlp": partial(options.call, probe.mlp),
        "augmentation": _augmentation,
    }
    made = {name: part(given[name], what=f"{what}.{name}") for name, part in parts.items() if name in given}
    return options.call(Protocol, given | made, what=what)


def _augmentation(section: Any, *, what: str) -> Augment | None:
    made = augment.compose(section, what=what)
    return made if section else None
