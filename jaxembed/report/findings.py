"""Findings: which experiment's embedding is better, and how sure that is, in sentences."""

import math
from collections.abc import Sequence

import numpy as np

from jaxembed import measures
from jaxembed.measures import Column
from jaxembed.report import tables
from jaxembed.report.experiments import Experiment

# A difference with a smaller p-value is significant.
LEVEL = 0.05
RANKED = {"knn_accuracy": "kNN accuracy", "mlp_accuracy": "MLP accuracy on the frozen embedding"}
GEOMETRY = {
    "distance_overlap": "Distances within and between classes overlap least",
    "cdnv": "Classes vary least, relative to the distance between them,",
}


def sentences(dataset: str, experiments: Sequence[Experiment]) -> list[str]:
    """Say which experiment is best on a dataset by each kind of measure, and whether that is significant."""
    columns = {column.name: column for column in measures.columns()}
    found = []
    for name, words in RANKED.items():
        rivals = [each for each in experiments if not math.isnan(each.value(name).mean)]
        if len(rivals) > 1:
            found.append(_ranking(columns[name], words, dataset, rivals))
    for name, words in GEOMETRY.items():
        for best in experiments:
            if best.name in tables.best(columns[name], experiments):
                value = tables.show(columns[name], best.value(name))
                unit = "%" if columns[name].percent else ""
                label = columns[name].label.removesuffix(" %")
                found.append(f"{words} in the embedding of {best.name}: {label} {value}{unit}.")
    collapsed = [each.name for each in experiments if any(run.record["collapsed"] for run in each.runs)]
    if collapsed:
        found.append(f"Collapsed, with nearly identical outputs for different images: {', '.join(collapsed)}.")
    return found


def _ranking(column: Column, words: str, dataset: str, experiments: Sequence[Experiment]) -> str:
    ranked = sorted(experiments, key=lambda each: each.value(column.name).mean, reverse=True)
    values = [[run.evaluated(column.name) for run in each.runs] for each in ranked]
    first, second = (each.name for each in ranked[:2])
    best, other = (tables.show(column, each.value(column.name)) for each in ranked[:2])
    if best == other:
        return f"{first} and {second} have the same {words} on {dataset}: {best}."
    return f"{first} has the highest {words} on {dataset} ({best} vs {other} for {second}){_significance(values)}."


def _significance(values: Sequence[Sequence[float]]) -> str:
    """Say whether the first two differ significantly, by the Games-Howell test; impossible with one seed.

    That is Welch's t-test, corrected for having picked the first two out of all pairs by their means.
    """
    # Imported here: SciPy's statistics take most of a second.
    from scipy import stats

    if min(map(len, values[:2])) < 2:
        return "; with one seed, significance cannot be tested"
    if not any(len(set(each)) > 1 for each in values[:2]):
        return "; no variation between seeds"
    # For a pair that never varies it is 0 / 0, which is not used.
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stats.tukey_hsd(*(each for each in values if len(each) > 1), equal_var=False).pvalue[0, 1]
    verdict = "significant" if p <= LEVEL else "not significant"
    return f"; {verdict} (Games-Howell test over seeds, p = {p:.2g})"
