"""Experiments: finished runs that differ in nothing but the seed, and what they come to together."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxembed.runs import workdir
from jaxembed.runs.finished import Finished


class Value(NamedTuple):
    """A measure over the seeds of an experiment: mean, sample standard deviation (NaN for one seed)."""

    mean: float
    sd: float


class Experiment(NamedTuple):
    """Runs of one dataset and one config that differ in the seed alone.

    Attributes:
      name: the config's, with the options in which it differs from another experiment of that name.
      runs: by seed.
    """

    name: str
    runs: tuple[Finished, ...]

    def value(self, metric: str) -> Value:
        """Average a metric over the seeds; the mean is NaN where a run lacks it or it has no finite value."""
        values = [run.measured(metric) for run in self.runs]
        deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
        return Value(float(np.mean(values)), float(deviation))


def group(runs: Iterable[Finished]) -> dict[str, tuple[Experiment, ...]]:
    """Gather runs into experiments, by dataset: dataset -> its experiments, in the order in which they came.

    A name that stands for different classes is as many datasets.
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
    for (dataset, its, *_), name, members in zip(alike, names, alike.values(), strict=True):
        label = dataset if len(classes[dataset]) == 1 else f"{dataset} ({len(its)} classes, {its[0]} to {its[-1]})"
        datasets[label].append(Experiment(name, tuple(sorted(members, key=lambda run: run.record["seed"]))))
    return {dataset: tuple(experiments) for dataset, experiments in datasets.items()}


def options_of(run: Finished) -> dict[str, Any]:
    """Flatten a run's config: `config.section.key` -> value."""
    return workdir.flatten(run.config)


def differing(flat: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the keys whose values are not the same in all flattened configs, the seed left out."""
    flat = list(flat)
    keys = dict.fromkeys(key for options in flat for key in options if key != "config.seed")
    return [key for key in keys if len({str(options.get(key)) for options in flat}) > 1]


def _names(firsts: list[Finished]) -> list[str]:
    """Name each experiment by its config, and where that is not enough, by what makes the difference."""
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
