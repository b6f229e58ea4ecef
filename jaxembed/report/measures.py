"""Measures: the metrics that a report shows, what each is called, which way is better, and what it says."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxembed.report.experiments import Experiment, Value


class Measure(NamedTuple):
    """One column of a table.

    Attributes:
      name: of the metric, without its split.
      label: at the head of the column.
      better: 1 if more is better, -1 if less is, 0 where experiments may not be compared by it.
      percent: whether the fraction is shown as a percentage.
      meaning: in a sentence.
    """

    name: str
    label: str
    better: int
    percent: bool
    meaning: str

    @property
    def head(self) -> str:
        """Write the label with an arrow that says which way is better."""
        return self.label + {1: " ↑", -1: " ↓", 0: ""}[self.better]

    def show(self, value: Value) -> str:
        """Write mean ± standard deviation, or the mean alone of one seed; a dash where there is no value."""
        if math.isnan(value.mean):
            return "–"
        factor, digits = (100, 2) if self.percent else (1, 3)
        mean = f"{factor * value.mean:.{digits}f}"
        return mean if math.isnan(value.sd) else f"{mean} ± {factor * value.sd:.{digits}f}"

    def best(self, experiments: Sequence[Experiment]) -> set[str]:
        """Name the experiments with the best mean; none where they may not be compared or there is but one."""
        means = {each.name: self.better * each.value(f"test/{self.name}").mean for each in experiments}
        # As shown: what reads the same is equally good.
        means = {
            name: round(mean, 4 if self.percent else 3) for name, mean in means.items() if not math.isnan(mean)
        }
        if not self.better or len(means) < 2:
            return set()
        return {name for name, mean in means.items() if mean == max(means.values())}


def shown(measures: Iterable[Measure], experiments: Sequence[Experiment]) -> list[Measure]:
    """Keep the measures that at least one of the experiments has."""
    return [m for m in measures if any(not math.isnan(e.value(f"test/{m.name}").mean) for e in experiments)]


class Table(NamedTuple):
    """Measures of experiments: the columns, and for each experiment its cells as (text, whether it is the best)."""

    columns: list[Measure]
    rows: list[tuple[Experiment, list[tuple[str, bool]]]]


def tables(experiments: Sequence[Experiment]) -> list[Table]:
    """Lay out what was measured on the test split: the accuracies, and the geometry."""
    laid = []
    for measures in (ACCURACIES, GEOMETRY):
        columns = shown(measures, experiments)
        best = [measure.best(experiments) for measure in columns]
        rows = []
        for each in experiments:
            texts = [measure.show(each.value(f"test/{measure.name}")) for measure in columns]
            rows.append((each, [(text, each.name in names) for text, names in zip(texts, best, strict=True)]))
        laid.append(Table(columns, rows))
    return laid


ACCURACIES = (
    Measure("knn_accuracy", "kNN %", 1, True, "Majority of the nearest train images: nothing is trained."),
    Measure("linear_accuracy", "linear %", 1, True, "A linear classifier trained on the frozen embedding."),
    Measure("mlp_accuracy", "MLP %", 1, True, "A classifier with a hidden layer trained on the frozen embedding."),
    Measure("accuracy", "own head %", 1, True, "The head trained with the encoder, on an image and its variants."),
    Measure("recall_at_1", "R@1 %", 1, True, "Test images whose nearest other test image is of their class."),
    Measure("recall_at_5", "R@5 %", 1, True, "Test images with one of their class among the 5 nearest."),
    Measure("recall_at_10", "R@10 %", 1, True, "Test images with one of their class among the 10 nearest."),
    Measure("map_at_r", "MAP@R %", 1, True, "How purely an image's class fills the places next to it."),
)
GEOMETRY = (
    Measure("silhouette", "silhouette", 1, False, "How much nearer its class is than the next; -1 to 1."),
    Measure("distance_ratio", "within / between", -1, False, "Mean distance in a class by that between classes."),
    Measure("distance_overlap", "overlap %", -1, True, "Area that same-class and different-class distances share."),
    Measure("cdnv", "CDNV", -1, False, "Variance of two classes by the squared distance of their means."),
    Measure(
        "alignment",
        "alignment",
        0,
        False,
        "Mean squared distance in a class, on the unit sphere; 0 if collapsed too.",
    ),
    Measure(
        "uniformity", "uniformity", 0, False, "How evenly directions fill the sphere, lower is more; 0 is collapse."
    ),
    Measure("rankme", "RankMe", 0, False, "Dimensions in use; to be compared within one way of learning alone."),
    Measure("dimension_spread", "spread", 0, False, "Deviation of a dimension; 0 is collapse, 1 an even sphere."),
    Measure("trustworthiness", "t-SNE trust", 0, False, "Neighbourhoods that the t-SNE picture keeps, of 1."),
    Measure("l1", "L1", -1, False, "Mean absolute error of the reconstructions."),
)
