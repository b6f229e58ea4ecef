"""What an embedding has to beat: whether it is better than the controls that were measured on the same images."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed.artifacts import finished, samples, workdir
from jaxembed.artifacts.samples import Sample
from jaxembed.core import files
from jaxembed.core.errors import InputError

# By what an embedding is compared with a control: the metric, and the words for it.
MEASURES = {"knn_accuracy": "kNN", "linear_accuracy": "linear probe"}


class Control(NamedTuple):
    """What was measured of a control.

    Attributes:
      name: its name, on one line.
      values: metric -> number, or the mean over seeds; NaN or missing where there is none.
    """

    name: str
    values: Mapping[str, float]


class Verdict(NamedTuple):
    """How an embedding does against the best control: the measure and the sentence, and whether it is better."""

    measure: str
    text: str
    is_better: bool


def verdicts(own: Mapping[str, float], controls: Sequence[Control]) -> list[Verdict]:
    """Compare an embedding with the best control, by each measure that both have; what reads the same is no better.

    Args:
      own: metric -> the embedding's number, as in a control's values.
      controls: what was measured on the same images.

    Returns:
      `kNN 55.56%, no better than patches (61.00%)`, or `kNN 85.86% (best control: patches, 61.00%)`, and so on.
    """
    found = []
    for metric, measure in MEASURES.items():
        value = own.get(metric, math.nan)
        rivals = [(each.values.get(metric, math.nan), each.name) for each in controls]
        rivals = [rival for rival in rivals if not math.isnan(rival[0])]
        if not rivals or math.isnan(value):
            continue
        best, name = max(rivals, key=lambda rival: rival[0])
        ours, theirs = f"{100 * value:.2f}", f"{100 * best:.2f}"
        is_better = float(ours) > float(theirs)
        against = f" (best control: {name}, {theirs}%)" if is_better else f", no better than {name} ({theirs}%)"
        found.append(Verdict(measure, f"{measure} {ours}%{against}", is_better))
    return found


def show_images_alike(one: Sample, other: Sample) -> bool:
    """Return whether two samples hold the same labelled images: the same rows of a split, with equal labels."""
    if one.labels is None or other.labels is None:
        return False
    pairs = ((one.rows, other.rows), (one.labels, other.labels), (one.classes, other.classes))
    return all(np.array_equal(*pair) for pair in pairs)


def beside(record: Mapping[str, Any], folder: Path) -> list[Verdict]:
    """Compare a run with the controls in the folders next to its own that were measured on the same images.

    Args:
      record: the run's result.json; that of a control is compared with none.
      folder: the run's folder, with its sample.npz. What cannot be read, there or next to it, is no control.
    """
    if finished.is_control(record):
        return []
    try:
        near = {file.parent for file in folder.absolute().parent.glob(f"*/{workdir.RESULT}")} - {folder.absolute()}
        own = samples.read(folder) if near else None
    except (InputError, OSError):
        return []
    return verdicts(_values(record), [each for there in sorted(near) for each in _measured(there, record, own)])


def _measured(folder: Path, record: Mapping[str, Any], own: Sample) -> list[Control]:
    """Read the control that a folder holds, if it holds one, on the images of a run."""
    try:
        there = finished.result(folder)
        same = all(there.get(key) == record.get(key) for key in ("dataset", "split"))
        if finished.is_control(there) and same and show_images_alike(own, samples.read(folder)):
            return [Control(files.printable(there["experiment"]), _values(there))]
    except (InputError, OSError, RecursionError):  # of a folder that is none of this run's
        pass
    return []


def _values(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that are compared, of the split that a result is about."""
    found = {metric: record["metrics"].get(f"{record.get('split', 'test')}/{metric}") for metric in MEASURES}
    return {metric: float(value) for metric, value in found.items() if value is not None}
