"""Metrics of an embedding, one kind a file: arrays in, numbers out; they know no run.

A file has `COLUMNS`, its metrics and what they mean, and `POSITION`, which orders the columns of all files in a
report. Most have `fit(train, *, <options>)`: it takes the embedding of the train split and the options that its
signature names, of config.evaluate, and returns a function that measures the embedding of a split. A metric that is
measured elsewhere has no `fit` in its file, only its columns. A file whose `fit` goes by labels says
`LABELLED = True`: without labels it is not used. One that goes by the predictions of others names them in `NEEDS`.
Importing a file does not import jax, because reports read the columns without it.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed.cli import stages


class Column(NamedTuple):
    """A metric, and how a report shows it.

    Attributes:
      name: the metric's name, without its split.
      label: the heading of the column.
      better: 1 if more is better, -1 if less is, 0 where experiments must not be compared by it.
      percent: whether the fraction is shown as a percentage.
      table: the table of the report that has it: "accuracy", "few labels", "geometry" or "views"; "" for none.
      meaning: what the metric says, in a sentence.
    """

    name: str
    label: str
    better: int
    percent: bool
    table: str
    meaning: str


class Rows(NamedTuple):
    """The embedding of a split: its points and their labels.

    Attributes:
      points: [n, d], a row for each image.
      labels: [n] the class of each image, in 0..classes-1; -1 where there are none.
      classes: the number of classes.
      augmented: [m, d] the points and, n at a time, the embeddings of augmented views of the images; only for the
        train split, and only if the protocol has views.
      pair: [n, d] twice, the embeddings of two augmented views of each image; only for the splits that are
        measured, and only if the protocol has an augmentation.
      predictions: classifier -> [n] classes, from the measures that come earlier by their `POSITION`.
    """

    points: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    classes: int
    augmented: Float[np.ndarray, "m d"] | None = None
    pair: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]] | None = None
    predictions: Mapping[str, Int[np.ndarray, " n"]] = {}


class Measured(NamedTuple):
    """What a measure returns for a split: metric -> number and, from classifiers, [n] predicted classes by name."""

    numbers: dict[str, float]
    predictions: dict[str, Int[np.ndarray, " n"]] = {}  # noqa: RUF012 (never changed)


Measure = Callable[[Rows], Measured]


def modules() -> list[ModuleType]:
    """Import all files, in the order of their columns."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return sorted((importlib.import_module(f"{__name__}.{name}") for name in names), key=lambda each: each.POSITION)


def columns() -> list[Column]:
    """List the columns of all files, in order."""
    return [column for module in modules() for column in module.COLUMNS]


def usable(*, labelled: bool) -> list[ModuleType]:
    """List the files with a `fit`; without labels, those that need none."""
    return [
        module
        for module in modules()
        if hasattr(module, "fit") and (labelled or not getattr(module, "LABELLED", False))
    ]


def fit(module: ModuleType, train: Rows, protocol: Any) -> Measure:
    """Fit a measure to the train split, with the options of the protocol that its signature names."""
    return module.fit(train, **{name: getattr(protocol, name) for name in wanted(module)})


def fit_all(train: Rows, protocol: Any, *, labelled: bool) -> Measure:
    """Fit the metrics of all files, without labels those that need none; return one function for all."""
    fitted = {}
    for module in usable(labelled=labelled):
        stages.begin(_title(module))
        fitted[module] = fit(module, train, protocol)

    def measure(rows: Rows) -> Measured:
        numbers, predictions = {}, {}
        for module, each in fitted.items():
            stages.begin(_title(module))
            if missing := set(getattr(module, "NEEDS", ())) - predictions.keys():
                raise ValueError(f"{module.__name__} needs a file that predicts {missing} before its POSITION")
            more, predicted = each(rows._replace(predictions=predictions))
            numbers |= more
            predictions |= predicted
        return Measured(numbers, predictions)

    return measure


def _title(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", " ")


def wanted(module: ModuleType) -> list[str]:
    """List the options of the protocol that a measure's signature names; none for one without `fit`."""
    parameters = inspect.signature(module.fit).parameters.values() if hasattr(module, "fit") else ()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
