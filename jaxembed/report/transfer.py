"""Transfer: what encoders are worth on datasets that they were not trained on."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxembed import metrics
from jaxembed.report import tables
from jaxembed.report.experiments import Experiment, Value

# The measures that are shown, a table each.
MEASURES = ("knn_accuracy", "linear_accuracy")


class Row(NamedTuple):
    """An experiment, the dataset that its encoder was trained on, and a cell for each dataset."""

    experiment: str
    trained_on: str
    cells: list[str]


class Transfer(NamedTuple):
    """A matrix, trained on × measured on: the measure, the datasets, the rows."""

    caption: str
    columns: list[str]
    rows: list[Row]


def matrices(datasets: Mapping[str, Sequence[Experiment]]) -> list[Transfer]:
    """Make a matrix for each measure, of the experiments that were measured on another dataset as well."""
    encoders: dict[tuple[str, str, str], dict[str, Experiment]] = {}
    for dataset, experiments in datasets.items():
        for each in experiments:
            run = each.runs[0]
            if run.trained_on is not None:
                key = run.record["experiment"], run.trained_on, run.record["encoder_sha256"]
                encoders.setdefault(key, {})[dataset] = each
    moved = {
        key: measured
        for key, measured in encoders.items()
        if any(each.runs[0].record["dataset"] != key[1] for each in measured.values())
    }
    columns = [dataset for dataset in datasets if any(dataset in measured for measured in moved.values())]
    known = {column.name: column for column in metrics.columns()}
    made = []
    for name in MEASURES:
        rows = []
        for (experiment, trained_on, _), measured in moved.items():
            values = (measured[each].value(name) if each in measured else _NONE for each in columns)
            rows.append(Row(experiment, trained_on, [tables.show(known[name], value) for value in values]))
        if rows:
            made.append(Transfer(known[name].label, columns, rows))
    return made


_NONE = Value(float("nan"), float("nan"))
