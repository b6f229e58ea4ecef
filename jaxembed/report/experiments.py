"""Experiments: finished runs that differ only in the seed, and their means."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxembed.artifacts import identity
from jaxembed.artifacts.finished import Finished

# Options that may have to be combined until they tell experiments apart; else all that differ are named.
MOST = 3


class Value(NamedTuple):
    """A measure over the seeds of an experiment: mean, sample standard deviation (NaN for one seed)."""

    mean: float
    sd: float


class Experiment(NamedTuple):
    """Runs on one dataset with one config that differ only in the seed.

    Attributes:
      name: the config's name, and what tells it from other experiments of that name; only that, where all have it.
      runs: the runs, ordered by seed.
    """

    name: str
    runs: tuple[Finished, ...]

    @property
    def is_control(self) -> bool:
        """Whether it is a control: what the others have to beat."""
        return self.runs[0].is_control

    @property
    def title(self) -> str:
        """Name it where it is shown next to others: a control says that it is one."""
        return f"{self.name} (control)" if self.is_control else self.name

    def value(self, metric: str) -> Value:
        """Average a metric over the seeds; the mean is NaN where a run lacks it or it has no finite value.

        It is that of the split that the runs are evaluated on, usually test.
        """
        values = [run.evaluated(metric) for run in self.runs]
        deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
        return Value(float(np.mean(values)), float(deviation))


def group(runs: Iterable[Finished]) -> dict[str, tuple[Experiment, ...]]:
    """Group runs into experiments, by dataset: dataset -> its experiments, in the order of the runs, controls last.

    A dataset's name with different classes counts as different datasets; each has its own name here.
    """
    datasets: dict[tuple[str, tuple[str, ...]], dict[tuple, list[Finished]]] = {}
    for run in runs:
        options = {key: str(value) for key, value in options_of(run).items() if key != "config.seed"}
        alike = datasets.setdefault((run.record["dataset"], tuple(run.sample.classes.tolist())), {})
        alike.setdefault((_name(run), *sorted(options.items())), []).append(run)
    grouped = [_experiments(list(alike.values())) for alike in datasets.values()]
    experiments = [tuple(sorted(each, key=lambda experiment: experiment.is_control)) for each in grouped]
    return dict(zip(_labels(list(datasets)), experiments, strict=True))


def apart(experiments: Iterable[Experiment]) -> tuple[list[Experiment], list[Experiment]]:
    """Divide experiments into those that are compared with each other, and the controls."""
    experiments = list(experiments)
    compared, controls = ([each for each in experiments if each.is_control is kind] for kind in (False, True))
    return compared, controls


def splits(experiments: Iterable[Experiment]) -> str:
    """Name the split that experiments are evaluated on, or the splits."""
    return " or ".join(dict.fromkeys(run.split for each in experiments for run in each.runs))


def options_of(run: Finished) -> dict[str, Any]:
    """Flatten a run's config, without what says only how often to log or save: `config.section.key` -> value."""
    kept = {name: value for name, value in run.config["train"].items() if name in identity.TRAIN}
    return identity.located(identity.flatten({**run.config, "train": kept}))


def differing(flat: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the keys whose values are not the same in all flattened configs, except the seed."""
    flat = list(flat)
    keys = dict.fromkeys(key for options in flat for key in options if key != "config.seed")
    return [key for key in keys if len({str(options.get(key)) for options in flat}) > 1]


def _name(run: Finished) -> str:
    """Name a run's experiment; one that was measured on a dataset other than its own says so."""
    name, own = run.record["experiment"], run.trained_on
    return name if own in (None, run.record["dataset"]) else f"{name} (trained on {own})"


def _labels(datasets: list[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Name datasets, (name, classes), each differently: where the name is not enough, by classes and a number."""
    shared = Counter(name for name, _ in datasets)
    labels: list[str] = []
    for name, classes in datasets:
        between = f"{len(classes)} classes, {classes[0]} to {classes[-1]}" if classes else "no labels"
        label = name if shared[name] == 1 else f"{name} ({between})"
        numbered = (f"{label} [{number}]" for number in itertools.count(2))
        labels.append(next(each for each in itertools.chain([label], numbered) if each not in labels))
    return labels


def _experiments(alike: list[list[Finished]]) -> Iterator[Experiment]:
    """Name the experiments on a dataset by their configs; where that is not enough, by the options that differ."""
    rivals: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, *_ in alike:
        rivals[_name(run)].append(options_of(run))
    telling = {name: _telling(options) for name, options in rivals.items()}
    for members in alike:
        name, own = _name(members[0]), options_of(members[0])
        words = _words(own, telling[name])
        title = f"{name} ({words})" if len(rivals) > 1 else words
        by_seed = sorted(members, key=lambda run: run.record["seed"])
        yield Experiment(title if words else name, tuple(by_seed))


def _telling(rivals: list[dict[str, Any]]) -> tuple[str, ...]:
    """Choose as few options as possible that tell experiments apart: first of those that all have."""
    keys = differing(rivals)
    shared = [key for key in keys if all(key in options for options in rivals)]
    names = tuple(key for key in shared if key.endswith(".name"))
    shared = [*names, *(key for key in shared if key not in names)]
    others = [key for key in keys if key not in names]
    for first, rest in (((), shared), (names, others)):
        for count in range(1, MOST + 1):
            for chosen in itertools.combinations(rest, count):
                told = {tuple(str(options.get(key)) for key in (*first, *chosen)) for options in rivals}
                if len(told) == len(rivals):
                    return (*first, *chosen)
    return tuple(keys)


def _words(options: Mapping[str, Any], telling: Sequence[str]) -> str:
    """Write some options in few words, those that there are: `margin 5`, or `barlow` for objective.name."""
    words = []
    for key in (key for key in telling if key in options):
        *_, section, last = key.split(".")
        is_shared = sum(each.endswith(f".{last}") for each in telling) > 1
        what = "" if last == "name" and not is_shared else f"{section} {last} " if is_shared else f"{last} "
        value = str(options[key])
        value = value.removesuffix(".0") if isinstance(options[key], float) else value
        words.append(f"{what.replace('_', ' ')}{value}")
    return ", ".join(words)
