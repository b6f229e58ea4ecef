"""Findings: which experiment's embedding is the better one, and how sure that is, in sentences."""

import math
from collections.abc import Sequence

import numpy as np

from jaxembed.report.experiments import Experiment
from jaxembed.report.measures import ACCURACIES, GEOMETRY, Measure

# The p-value from which on a difference may be chance.
CHANCE = 0.05
ASKED = {"knn_accuracy": "nearest neighbours", "mlp_accuracy": "an MLP on the frozen embedding"}
SEEN = {
    "distance_overlap": "Distances in a class and between classes overlap least",
    "cdnv": "Classes vary least for the distance between them",
}


def sentences(dataset: str, experiments: Sequence[Experiment]) -> list[str]:
    """Say who is ahead on a dataset by each kind of measure, and whether chance could have done it."""
    found = []
    for measure in ACCURACIES:
        rivals = [each for each in experiments if not math.isnan(each.value(f"test/{measure.name}").mean)]
        if measure.name in ASKED and len(rivals) > 1:
            found.append(_ahead(measure, dataset, rivals))
    for measure in GEOMETRY:
        for best in experiments:
            if measure.name in SEEN and best.name in measure.best(experiments):
                shown = measure.show(best.value(f"test/{measure.name}"))
                found.append(f"{SEEN[measure.name]} in the embedding of {best.name}: {measure.label} {shown}.")
    collapsed = [each.name for each in experiments if any(run.record["collapsed"] for run in each.runs)]
    if collapsed:
        found.append(f"Collapsed, so that different images look all but the same: {', '.join(collapsed)}.")
    return found


def _ahead(measure: Measure, dataset: str, experiments: Sequence[Experiment]) -> str:
    metric = f"test/{measure.name}"
    ranked = sorted(experiments, key=lambda each: each.value(metric).mean, reverse=True)
    values = [[run.measured(metric) for run in each.runs] for each in ranked]
    (first, shown), (second, behind) = ((each.name, measure.show(each.value(metric))) for each in ranked[:2])
    by = f"By {ASKED[measure.name]}"
    if shown == behind:
        return f"{by}, {first} and {second} are level on {dataset}, at {shown}."
    return f"{by}, {first} is ahead on {dataset}: {shown} against {behind} of {second}{_judged(values)}."


def _judged(values: Sequence[Sequence[float]]) -> str:
    """Say whether seeds alone could part the first two, by the Games-Howell test; of one seed nothing can be said.

    That is Welch's t-test, corrected for the first two having been picked out of all pairs by their means.
    """
    # Imported here: SciPy's statistics take most of a second.
    from scipy import stats

    if min(map(len, values[:2])) < 2:
        return "; one seed does not tell whether chance did it"
    if not any(len(set(each)) > 1 for each in values[:2]):
        return ", the same with every seed"
    # Between two others that never vary it is 0 / 0, which nobody reads.
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stats.tukey_hsd(*(each for each in values if len(each) > 1), equal_var=False).pvalue[0, 1]
    verdict = "which chance could do" if p > CHANCE else "more than chance"
    return f", {verdict} (Games-Howell test over seeds, p = {p:.2g})"
