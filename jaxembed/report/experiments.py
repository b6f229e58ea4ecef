"""Experiments: finished runs that differ only in the seed, and their means."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxembed.runs import identity
from jaxembed.runs.finished import Finished


class Value(NamedTuple):
    """A measure over the seeds of an experiment: mean, sample standard deviation (NaN for one seed)."""

    mean: float
    sd: float


class Experiment(NamedTuple):
    """Runs on one dataset with one config that differ only in the seed.

    Attributes:
      name: of the config, with the options in which it differs from another experiment of that name.
      runs: by seed.
    """

    name: str
    runs: tuple[Finished, ...]

    def value(self, metric: str) -> Value:
        """Average a metric over the seeds; the mean is NaN where a run lacks it or it has no finite value.

        It is that of the split that the runs are evaluated on, usually test.
        """
        values = [run.evaluated(metric) for run in self.runs]
        deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
        return Value(float(np.mean(values)), float(deviation))


def group(runs: Iterable[Finished]) -> dict[str, tuple[Experiment, ...]]:
    """Group runs into experiments, by dataset: dataset -> its experiments, in the order of the runs.

    A dataset's name with different classes counts as different datasets.
    """
    alike: dict[tuple, list[Finished]] = defaultdict(list)
    classes: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for run in runs:
        dataset, names = run.record["dataset"], tuple(run.sample.classes.tolist())
        classes[dataset].add(names)
        options = {key: str(value) for key, value in options_of(run).items() if key != "config.seed"}
        alike[dataset, names, run.record["experiment"], *sorted(options.items())].append(run)
    names = _names([members[0] for members in alike.values()])
    datasets: dict[str, list[Experiment]] = defaultdict(list)
    for (dataset, present, *_), name, members in zip(alike, names, alike.values(), strict=True):
        label = dataset if len(classes[dataset]) == 1 else f"{dataset} ({_classes(present)})"
        datasets[label].append(Experiment(name, tuple(sorted(members, key=lambda run: run.record["seed"]))))
    return {dataset: tuple(experiments) for dataset, experiments in datasets.items()}


def splits(experiments: Iterable[Experiment]) -> str:
    """Name the split that experiments are evaluated on, or the splits."""
    return " or ".join(dict.fromkeys(run.split for each in experiments for run in each.runs))


def _classes(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes, {names[0]} to {names[-1]}" if names else "no labels"


def options_of(run: Finished) -> dict[str, Any]:
    """Flatten a run's config, without what says only how often to log or save: `config.section.key` -> value."""
    kept = {name: value for name, value in run.config["train"].items() if name in identity.TRAIN}
    return identity.flatten({**run.config, "train": kept})


def differing(flat: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the keys whose values are not the same in all flattened configs, except the seed."""
    flat = list(flat)
    keys = dict.fromkeys(key for options in flat for key in options if key != "config.seed")
    return [key for key in keys if len({str(options.get(key)) for options in flat}) > 1]


def _names(firsts: list[Finished]) -> list[str]:
    """Name each experiment by its config, and where that is not enough, by the options that differ."""
    names = []
    for run in firsts:
        rivals = [
            options_of(other)
            for other in firsts
            if (other.record["experiment"], other.record["dataset"])
            == (run.record["experiment"], run.record["dataset"])
        ]
        own = options_of(run)
        differences = ", ".join(f"{key.removeprefix('config.')}={own.get(key)}" for key in differing(rivals))
        names.append(run.record["experiment"] + (f" ({differences})" if differences else ""))
    return names
