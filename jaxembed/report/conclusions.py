"""Findings: which experiment's embedding is better, and how sure that is, in sentences."""

import math
from collections.abc import Sequence

from jaxembed import metrics
from jaxembed.figures import names
from jaxembed.metrics import Column
from jaxembed.report import controls, significance, tables
from jaxembed.report.controls import Control
from jaxembed.report.experiments import Experiment, apart

# Experiments that a sentence names, and the columns of a name in it.
NAMED, COLUMNS = 4, 80
RANKED = {"knn_accuracy": "kNN accuracy", "mlp_accuracy": "MLP accuracy on the frozen embedding"}
GEOMETRY = {
    "distance_overlap": "Distances within and between classes overlap least",
    "cdnv": "Classes vary least, relative to the distance between them,",
}


def sentences(dataset: str, experiments: Sequence[Experiment]) -> list[str]:
    """Say which experiment is best on a dataset by each kind of measure, and whether that is significant.

    Controls are no rivals: the last sentences say which experiments are no better than one.
    """
    experiments, measured = apart(experiments)
    columns = {column.name: column for column in metrics.columns()}
    found = []
    for name, words in RANKED.items():
        rivals = [each for each in experiments if not math.isnan(each.value(name).mean)]
        if len(rivals) > 1:
            found.append(_ranking(columns[name], words, dataset, rivals))
    for name, words in GEOMETRY.items():
        if best := [experiments[index] for index in sorted(tables.best(columns[name], experiments))]:
            found.append(_least(columns[name], words, best, len(experiments)))
    if collapsed := [each for each in experiments if any(run.record["collapsed"] for run in each.runs)]:
        found.append(f"Collapsed, with nearly identical outputs for different images: {_listed(collapsed)}.")
    return found + _against(experiments, measured)


def _against(experiments: Sequence[Experiment], measured: Sequence[Experiment]) -> list[str]:
    """Say which experiments are no better than a control that was measured on the same images, and which are."""
    found, better, measures = [], [], {}
    for each in experiments:
        rivals = [Control(names.written(one.name, COLUMNS), _values(one)) for one in measured if _alike(each, one)]
        verdicts = controls.verdicts(_values(each), rivals)
        if worse := [verdict.text for verdict in verdicts if not verdict.is_better]:
            found.append(f"{names.written(each.name, COLUMNS)}: {'; '.join(worse)}.")
        elif verdicts:
            better.append(each)
            measures |= dict.fromkeys(verdict.measure for verdict in verdicts)
    if better:
        found.append(f"Better than every control, by {' and '.join(measures)}: {_listed(better)}.")
    return found


def _values(experiment: Experiment) -> dict[str, float]:
    return {metric: experiment.value(metric).mean for metric in controls.MEASURES}


def _alike(one: Experiment, other: Experiment) -> bool:
    """Return whether all runs of two experiments were evaluated on the same images."""
    first = one.runs[0]
    runs = (*one.runs, *other.runs)
    return all(run.split == first.split and controls.show_images_alike(run.sample, first.sample) for run in runs)


def _least(column: Column, words: str, best: Sequence[Experiment], of: int) -> str:
    where, value = "the embedding", best[0].value(column.name)
    if len(best) > 1:
        where, value = f"{len(best)} of {of} embeddings, those", value._replace(sd=math.nan)
    text = f"{column.label.removesuffix(' %')} {tables.show(column, value)}{'%' if column.percent else ''}"
    return f"{words} in {where} of {_listed(best)}: {text}."


def _listed(experiments: Sequence[Experiment]) -> str:
    return names.listed((names.written(each.name, COLUMNS) for each in experiments), NAMED)


def _ranking(column: Column, words: str, dataset: str, experiments: Sequence[Experiment]) -> str:
    ranked = sorted(experiments, key=lambda each: each.value(column.name).mean, reverse=True)
    values = [[run.evaluated(column.name) for run in each.runs] for each in ranked]
    dataset = names.written(dataset, COLUMNS)
    first, second = (names.written(each.name, COLUMNS) for each in ranked[:2])
    best, other, *_ = shown = [tables.show(column, each.value(column.name)) for each in ranked]
    if (equal := shown.count(best)) > 2:
        return (
            f"{equal} of {len(ranked)} experiments have the highest {words} on {dataset}: {best} "
            f"({_listed([each for each, text in zip(ranked, shown, strict=True) if text == best])})."
        )
    if best == other:
        return f"{first} and {second} have the same {words} on {dataset}: {best}."
    verdict = significance.verdict(values)
    return f"{first} has the highest {words} on {dataset} ({best} vs {other} for {second}){verdict}."
