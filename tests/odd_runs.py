"""Finished runs in which everything that a user names has a name of `odd_names`."""

from pathlib import Path

import finished_runs
import numpy as np
from odd_names import NAMES

from jaxembed.artifacts import finished, samples
from jaxembed.artifacts.finished import Finished
from jaxembed.core import files
from jaxembed.figures import gallery


def make(folder: Path, *, classes: int = 10, experiments: int = 3, drawn: bool = True) -> list[Finished]:
    """Write runs of experiments with odd names, on an odd dataset, with images of odd classes."""
    runs = []
    for index, name in enumerate(NAMES[:experiments]):
        run = finished_runs.make(
            folder / str(index), experiment=name, note=NAMES[-1 - index], dataset="".join(NAMES)
        )
        odd = dict.fromkeys(("command", "device", "encoder", "objective"), name)
        record = run.record | odd | {"versions": {each: each for each in NAMES}}
        record["metrics"] = record["metrics"] | {f"test/{each}": 0.5 for each in NAMES}
        files.write_json(run.folder / "result.json", record)
        samples.write(_of_classes(run.sample, classes), run.folder)
        runs.append(finished.read(run.folder))
        if drawn:
            gallery.draw(runs[-1])
    return runs


def _of_classes(shown: samples.Sample, classes: int) -> samples.Sample:
    labels = np.arange(30) % classes
    return shown._replace(
        classes=np.array([NAMES[i % len(NAMES)] for i in range(classes)]),
        labels=labels,
        predicted=labels,
        confusion=np.diag(np.arange(classes)) + 3,
        queries=shown.images[:10],
        query_labels=labels[:10],
        found=shown.images[np.arange(80).reshape(10, 8) % 30],
        found_labels=labels[np.arange(80).reshape(10, 8) % 30],
    )
