"""The summary that ends a run: the five numbers that matter for its way of learning, and what they say."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxembed import metrics
from jaxembed.artifacts import finished, samples, workdir
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.metrics import Column
from jaxembed.report import controls

FIVE = {
    "reconstruct": ("l1", "knn_accuracy", "linear_accuracy", "mlp_accuracy", "rankme"),
    "classify": ("accuracy", "knn_accuracy", "worst_class_accuracy", "map_at_r", "distance_overlap"),
} | dict.fromkeys(
    ("arcface", "margin", "supcon", "triplet"),
    ("knn_accuracy", "worst_class_accuracy", "recall_at_1", "map_at_r", "distance_overlap"),
)
OTHERS = ("knn_accuracy", "linear_accuracy", "mlp_accuracy", "knn_accuracy_10_labels", "rankme")
# Without labels.
UNLABELLED = ("rankme", "alpha", "uniformity", "dimension_spread", "trustworthiness")
# Accuracies within NEAR of chance, or farther apart than FAR; and so FEW dimensions that it is worth a word.
NEAR, FAR, FEW = 0.05, 0.1, 3
# The width of a number's column.
WIDTH = 12


def show(record: dict[str, Any], folder: Path) -> None:
    """Print what a run is worth, beside chance and the controls in the folders next to its own, and where its files
    are.
    """
    if "steps" in record:
        rate = f", {record['images_per_second']:,.0f} images/s" if record["images_per_second"] else ""
        print(f"{record['steps']} steps in {record['train_seconds']:.1f} s{finished.together(record)}{rate}")
    table(record["metrics"], headline(record))
    chance = _chance(record, folder)
    against = controls.beside(record, folder)
    print(verdict(record, chance=chance, beaten=all(each.is_better for each in against)))
    if against:
        print("; ".join(each.text for each in against))
    where = files.printable(folder)
    is_finished = (folder / workdir.RESULT).exists()
    print(f"All numbers: {f'jaxembed report {_quoted(folder)}' if is_finished else f'{where}/{workdir.TUNED}'}")
    print(f"Files: {where}/")


def follow(folder: Path) -> None:
    """Print what can be done with a finished run: where its figures are, and the next commands."""
    where = files.printable(folder)
    drawn = sorted(file.stem for file in (folder / "figures").glob("*.png"))
    if drawn:
        print(f"Figures: {where}/figures/ ({', '.join(drawn)})")
    print(f"Next: jaxembed explore {_quoted(folder)}")
    print(f"      jaxembed embed {_quoted(folder)} PHOTOS --output=photos.npz")


def headline(record: Mapping[str, Any]) -> list[Column]:
    """Return the five metrics that matter most for the way of learning that a result is about, of those it has."""
    there = {name.partition("/")[2] for name in record["metrics"]}
    wanted = dict.fromkeys((*FIVE.get(record["objective"], OTHERS), *UNLABELLED))
    columns = {column.name: column for column in metrics.columns()}
    return [columns[name] for name in wanted if name in there][:5]


def verdict(record: Mapping[str, Any], *, chance: float | None, beaten: bool) -> str:
    """Say in one sentence what is good or bad about a result, the worst first.

    Args:
      record: the result.json.
      chance: the accuracy of always naming the commonest class; None if that is not known.
      beaten: whether the embedding is better than all controls that were measured next to it.
    """
    split, numbers = record.get("split", "test"), record["metrics"]
    value = {name: numbers.get(f"{split}/{name}") for name in ("knn_accuracy", "mlp_accuracy", "rankme")}
    knn, mlp, rank = value["knn_accuracy"], value["mlp_accuracy"], value["rankme"]
    if record["collapsed"]:
        return "Warning: the embedding has collapsed: different images get nearly identical outputs."
    if knn is None:
        return f"Without labels nothing says what it is worth; it uses about {rank:.0f} dimensions (RankMe)."
    against = f"kNN {_percent(knn)}" + (f", chance {_percent(chance)}" if chance is not None else "")
    if chance is not None and knn - chance < NEAR:
        return f"Bad: the classes are hardly in it ({against})."
    if not beaten:
        return f"Bad: a control that learns nothing is as good ({against})."
    if mlp is not None and mlp - knn > FAR:
        return f"Mixed: it holds the classes (MLP {_percent(mlp)}), but not as nearest neighbours ({against})."
    if rank is not None and rank < FEW:
        return f"Mixed: the classes are in it ({against}), but it uses only {rank:.1f} dimensions (RankMe)."
    before = numbers.get("validation/knn_accuracy")
    if split == "test" and before is not None and before - knn > FAR:
        return f"Mixed: kNN on test is {_percent(before - knn)} lower than on validation ({against})."
    return f"Good: nearest neighbours have the same class ({against})."


def table(measured: Mapping[str, float | None], columns: list[Column] | None = None) -> None:
    """Print metrics, `<split>/<metric>` -> number, with a column for validation and, if it was used, for test.

    Args:
      measured: the numbers.
      columns: which of them, by their headings; None for all, by name, but for the standard deviations.
    """
    splits = sorted({name.partition("/")[0] for name in measured}, reverse=True)
    if columns is None:
        names = sorted({name.partition("/")[2] for name in measured if not name.endswith("_sd")})
        columns = [Column(name, name, 0, False, "", "") for name in names]
    width = max(len(files.printable(column.label)) for column in columns)
    print(f"  {'':{width}s}{''.join(f'{split:>{WIDTH}s}' for split in splits)}")
    for column in columns:
        values = (_cell(measured, f"{split}/{column.name}", column) for split in splits)
        label = files.printable(column.label.removesuffix(" %"))
        print(f"  {label:{width}s}{''.join(f'{value:>{WIDTH}s}' for value in values)}".rstrip())


def _cell(measured: Mapping[str, float | None], name: str, column: Column) -> str:
    if name not in measured:
        return ""
    value = measured[name]
    if value is None:
        return "infinite"
    return _percent(value) if column.percent else f"{value:.4f}"


def _quoted(folder: Path) -> str:
    return shlex.quote(files.printable(folder))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _chance(record: Mapping[str, Any], folder: Path) -> float | None:
    """Return the share of the commonest class among the labelled images of a run's sample; None without labels."""
    if f"{record.get('split', 'test')}/knn_accuracy" not in record["metrics"]:
        return None
    try:
        labels = samples.read(folder).labels
    except (InputError, OSError):
        return None
    if labels is None or not len(labels):
        return None
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
