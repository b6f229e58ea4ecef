"""Findings: which experiment's embedding is the better one, and how sure that is, in sentences."""

import math
from collections.abc import Sequence

from jaxembed.report.experiments import Experiment
from jaxembed.report.measures import ACCURACIES, GEOMETRY, Measure

# Standard errors between two means from which a difference is said to count.
SURE = 2.0
ASKED = {"knn_accuracy": "nearest neighbours", "mlp_accuracy": "an MLP on the frozen embedding"}
SEEN = {
    "distance_overlap": "Distances in a class and between classes overlap least",
    "cdnv": "Classes vary least for the distance between them",
}


def sentences(dataset: str, experiments: Sequence[Experiment]) -> list[str]:
    """Say who is ahead on a dataset by each kind of measure, and whether chance could have done it."""
    found = []
    for measure in (*ACCURACIES, *GEOMETRY):
        if measure.name in ASKED and len(experiments) > 1:
            found.append(_ahead(measure, dataset, experiments))
    for name, what in SEEN.items():
        measure = next(each for each in GEOMETRY if each.name == name)
        for best in experiments:
            if best.name in measure.best(experiments):
                shown = measure.show(best.value(f"test/{name}"))
                found.append(f"{what} in the embedding of {best.name}: {measure.label} {shown}.")
    collapsed = [each.name for each in experiments if any(run.record["collapsed"] for run in each.runs)]
    if collapsed:
        found.append(f"Collapsed, so that different images look all but the same: {', '.join(collapsed)}.")
    return found


def _ahead(measure: Measure, dataset: str, experiments: Sequence[Experiment]) -> str:
    metric = f"test/{measure.name}"
    first, second = sorted(experiments, key=lambda each: each.value(metric).mean, reverse=True)[:2]
    gap = first.value(metric).mean - second.value(metric).mean
    error = math.hypot(_standard_error(first, metric), _standard_error(second, metric))
    verdict = "more than chance" if gap > SURE * error else "which chance could have done"
    errors = gap / error if error else math.inf
    return (
        f"By {ASKED[measure.name]}, {first.name} is ahead on {dataset}: {measure.show(first.value(metric))} "
        f"against {measure.show(second.value(metric))} of {second.name}, {errors:.1f} standard errors "
        f"({_of(first)} and {_of(second)}): {verdict}."
    )


def _standard_error(experiment: Experiment, metric: str) -> float:
    """Of the mean over seeds; of one seed, that of a share of so many test images, which is the less of the two."""
    value = experiment.value(metric)
    if value.seeds > 1:
        return value.sd / math.sqrt(value.seeds)
    return math.sqrt(value.mean * (1 - value.mean) / int(experiment.runs[0].sample.confusion.sum()))


def _of(experiment: Experiment) -> str:
    seeds = len(experiment.runs)
    return f"{seeds} seeds" if seeds > 1 else f"one seed, {experiment.runs[0].sample.confusion.sum():,} images"
