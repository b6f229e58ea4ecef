"""Tables: what a report shows of the measurements, in the columns that metrics/ defines."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxembed import metrics
from jaxembed.metrics import Column
from jaxembed.report.experiments import Experiment, Value, apart

# The tables of a report, in order: a column says which one it is in.
CAPTIONS = {
    "accuracy": "Accuracy and retrieval",
    "few labels": "Accuracy with few labels",
    "geometry": "Geometry",
    "views": "Two augmented views of each image",
}
# Scores of every objective, for training only: they measure no embedding.
TRAINING = {"loss", "spread"}
ARROWS = {1: " ↑", -1: " ↓", 0: ""}
# Above the controls in a table.
CONTROLS = "controls: what an embedding has to beat"
Row = tuple[Experiment, list[tuple[str, bool]]]


class Table(NamedTuple):
    """Measurements of experiments: what they are, the columns, and a row of cells for each experiment.

    A cell is (its text, whether it is the best in its column). Controls have rows of their own, and are never it.
    """

    caption: str
    columns: list[Column]
    rows: list[Row]
    controls: list[Row]


def make(experiments: Sequence[Experiment]) -> list[Table]:
    """Make the tables of what was measured on the test split, or the one that takes its place."""
    compared, controls = apart(experiments)
    made = []
    for name, caption in CAPTIONS.items():
        columns = [column for column in shown(experiments) if column.table == name]
        winners = [best(column, compared) for column in columns]
        rows, others = _rows(columns, compared, winners), _rows(columns, controls, [set() for _ in columns])
        if columns:
            made.append(Table(caption, columns, rows, others))
    return made


def shown(experiments: Sequence[Experiment]) -> list[Column]:
    """List the columns that at least one of the experiments has a value for.

    A metric that no measure defines, of a new objective for example, is shown by its name.
    """
    known = {column.name: column for column in metrics.columns()}
    runs = [run for each in experiments for run in each.runs]
    found = [
        metric.partition("/") for run in runs for metric in run.record["metrics"] if metric.startswith(run.split)
    ]
    evaluated = dict.fromkeys(metric for _, _, metric in found)
    others = {
        name: Column(
            name, label=name, better=0, percent=False, table="geometry", meaning="Defined by the objective."
        )
        for name in evaluated
    }
    columns = known | {name: column for name, column in others.items() if name not in known.keys() | TRAINING}
    return [
        column
        for column in columns.values()
        if column.table and any(not math.isnan(each.value(column.name).mean) for each in experiments)
    ]


def head(column: Column) -> str:
    """Write the label with an arrow that says which way is better."""
    return column.label + ARROWS[column.better]


def show(column: Column, value: Value) -> str:
    """Write mean ± standard deviation, or just the mean for one seed; a dash where there is no value."""
    if math.isnan(value.mean):
        return "–"
    factor, digits = (100, 2) if column.percent else (1, 3)
    mean = f"{factor * value.mean:.{digits}f}"
    return mean if math.isnan(value.sd) else f"{mean} ± {factor * value.sd:.{digits}f}"


def best(column: Column, experiments: Sequence[Experiment]) -> set[int]:
    """Find the indices of the experiments with the best mean; none if they must not be compared, or it is one."""
    means = {index: column.better * each.value(column.name).mean for index, each in enumerate(experiments)}
    # As shown: what reads the same is equally good.
    digits = 4 if column.percent else 3
    means = {index: round(mean, digits) for index, mean in means.items() if not math.isnan(mean)}
    if not column.better or len(means) < 2:
        return set()
    return {index for index, mean in means.items() if mean == max(means.values())}


def _rows(columns: Sequence[Column], experiments: Sequence[Experiment], winners: Sequence[set[int]]) -> list[Row]:
    rows = []
    for index, each in enumerate(experiments):
        texts = [show(column, each.value(column.name)) for column in columns]
        rows.append((each, [(text, index in won) for text, won in zip(texts, winners, strict=True)]))
    return rows
