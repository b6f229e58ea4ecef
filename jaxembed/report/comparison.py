"""Comparison: the figures that show the experiments on one dataset side by side."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from jaxembed import figures
from jaxembed.figures import plots, style
from jaxembed.report.experiments import Experiment, splits
from jaxembed.runs import metrics

# Okabe & Ito 2008: distinct for any colour vision, and different from the colours of the classes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
# For experiments beyond the colours.
DASHES = ("-", "--", ":", "-.")


class Picture(NamedTuple):
    """A figure of a report: its file, its title, and how it was made."""

    file: Path
    title: str
    how: str


def draw(dataset: str, experiments: Sequence[Experiment], folder: Path) -> list[Picture]:
    """Draw the comparisons of the experiments on a dataset, as <name>_<dataset>.png in the folder."""
    pictures = []
    how_of_split = f"{splits(experiments)} images"
    plain = re.sub(r"[^\w.-]+", "_", dataset)  # several with the same name have their classes in it as well
    for name, (make, title, how) in COMPARISONS.items():
        file = folder / f"{name}_{plain}.png"
        with style.style():
            figure = make(experiments)
            if figure is None:
                file.unlink(missing_ok=True)  # from an earlier report
                continue
            style.save(figure, file)
        pictures.append(Picture(file, f"{dataset}: {title}", how.format(images=how_of_split)))
    return pictures


def embeddings(experiments: Sequence[Experiment]) -> Figure:
    """Draw each experiment's t-SNE picture, of its first seed."""
    columns = min(4, len(experiments))
    rows = -(-len(experiments) // columns)
    figure, axes = style.figure(3.1 * columns, 3.3 * rows + 0.3, rows, columns)
    for axis, experiment in zip(axes.flat, experiments, strict=False):
        run = experiment.runs[0]
        plots.scatter(axis, run.sample.points, run.sample.labels, run.sample.classes.tolist())
        name = textwrap.fill(experiment.name, 34)
        accuracy, rank = 100 * run.evaluated("knn_accuracy"), run.evaluated("rankme")
        axis.set_title(f"{name}\n" + (f"kNN {accuracy:.2f}%" if run.is_labelled else f"RankMe {rank:.1f}"))
    for axis in axes.flat[len(experiments) :]:
        axis.remove()
    return figure


def distances(experiments: Sequence[Experiment]) -> Figure | None:
    """Draw each experiment's distances within and between classes, in units of the mean between classes."""
    experiments = [each for each in experiments if each.runs[0].is_labelled]
    if not experiments:
        return None
    figure, axes = style.figure(7.5, 1.5 * len(experiments) + 0.7, len(experiments), sharex=True)
    for [axis], experiment in zip(axes, experiments, strict=True):
        run = experiment.runs[0]
        between = run.evaluated("between_distance")
        unit = between if between > 0 else 1  # after a collapse there is none
        plots.distances(axis, run.sample.edges / unit, run.sample.same, run.sample.different)
        ratio, overlap = (run.evaluated(f"distance_{name}") for name in ("ratio", "overlap"))
        name = textwrap.fill(experiment.name, 80)
        axis.set_title(f"{name}\nwithin / between {ratio:.2f}, {100 * overlap:.0f}% overlap")
        axis.set(ylabel="pairs, %", xlim=(0, 2))
    axes[-1, 0].set_xlabel("distance, in units of the mean distance between classes")
    axes[0, 0].legend(loc="upper right")
    return figure


def curves(experiments: Sequence[Experiment]) -> Figure:
    """Draw how kNN accuracy (or RankMe) on validation rises and the loss falls, a line for each seed."""
    figure, [[left, right]] = style.figure(10, 3.4, columns=2)
    for index, experiment in enumerate(experiments):
        repeated, position = divmod(index, len(COLOURS))
        colour, dashes = COLOURS[position], DASHES[repeated % len(DASHES)]
        for run in experiment.runs:
            figures.quality(left, run, linestyle=dashes, marker="o", color=colour, markersize=3)
            epochs, losses = metrics.series(run.lines, "train/loss")
            relative = losses / losses[0]
            line = right.plot(epochs / run.record["epochs"], relative, dashes, color=colour, linewidth=0.8)
        line[0].set_label(textwrap.fill(experiment.name, 34))
    left.set(xscale="log")
    right.set(title="train loss, relative to its first value", xlabel="share of training", yscale="log")
    for axis in (left.xaxis, right.yaxis):
        plots.plain_ticks(axis)
    figure.legend(loc="outside right")
    return figure


COMPARISONS = {
    "embedding_comparison": (
        embeddings,
        "the embeddings side by side",
        "t-SNE (scikit-learn) of the same {images} in each experiment's embedding, first seed. "
        "Neighbours are meaningful; the sizes of clusters and the gaps between them mean little.",
    ),
    "distance_comparison": (
        distances,
        "distances within and between classes",
        "All pairs of the same {images}, first seed. Distances are divided by the mean distance between "
        "classes, so that embeddings of different scale can be compared: the less overlap, the better the classes "
        "are separated.",
    ),
    "learning_curves": (
        curves,
        "learning curves",
        "Left: kNN accuracy on the validation split during training, or RankMe if there are no labels. "
        "Right: the training loss relative to its "
        "first value; losses of different objectives have no common scale. Each line is a seed.",
    ),
}
