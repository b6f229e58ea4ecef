"""Comparison: the figures that show the experiments on one dataset side by side."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxembed.artifacts import history
from jaxembed.artifacts.finished import Finished
from jaxembed.figures import drawings, names, plots, style
from jaxembed.metrics import few_labels
from jaxembed.report.experiments import Experiment, splits

# Okabe & Ito 2008: distinct for any colour vision, and different from the colours of the classes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
# For experiments beyond the colours.
DASHES = ("-", "--", ":", "-.")
# Of the axis of distances, in mean distances between classes: wider if pairs are beyond, but not for a far outlier.
WIDTH, MOST_WIDTH = 2.0, 10.0
# Inches of a map's side: four of them, as all comparisons, fit a page of 1280 pixels as they are.
SIDE = 2.35
# Inches of a line of text, and columns of a dataset's name in a title.
LINE, COLUMNS = 0.17, 60


class Picture(NamedTuple):
    """A figure of a report: its file, its title, how it was made, the kind of comparison, and its part, from 0."""

    file: Path
    title: str
    how: str
    kind: str = ""
    part: int = 0


class Comparison(NamedTuple):
    """A kind of comparison.

    Attributes:
      name: the start of its files' names.
      make: draws experiments, or returns None if it has nothing to show.
      most: how many experiments a figure has room for.
      title: its title.
      how: how it was made; `{images}` stands for what the experiments are compared on.
    """

    name: str
    make: Callable[[Sequence[Experiment]], Figure | None]
    most: int
    title: str
    how: str


def draw(dataset: str, experiments: Sequence[Experiment], folder: Path) -> list[Picture]:
    """Draw the comparisons of the experiments on a dataset, as <name>_<dataset>.png in the folder.

    Where one picture has no room for all experiments there are several, <name>.2_<dataset>.png and so on.
    """
    pictures = []
    how_of_split = f"{splits(experiments)} images"
    for comparison in COMPARISONS:
        parts = list(_parts(experiments, comparison.most))
        for number, part in enumerate(parts, start=1):
            file = folder / f"{comparison.name}{f'.{number}' if number > 1 else ''}_{_file_name(dataset)}.png"
            with style.style():
                figure = comparison.make(part)
                if figure is None:
                    file.unlink(missing_ok=True)  # from an earlier report
                    continue
                style.save(figure, file)
            of = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            label = names.written(dataset, COLUMNS)
            title = f"{label}: {comparison.title}{of}"
            how = comparison.how.format(images=how_of_split)
            pictures.append(Picture(file, title, how, comparison.name, number - 1))
    return pictures


def embeddings(experiments: Sequence[Experiment]) -> Figure:
    """Draw each experiment's t-SNE picture, of its first seed."""
    columns = min(4, len(experiments))
    rows = -(-len(experiments) // columns)
    titles = [_wrapped(experiment, 26) for experiment in experiments]
    height = SIDE + LINE * _lines(titles)
    figure, axes = style.figure(SIDE * columns, height * rows + 0.3, rows, columns)
    for axis, experiment, name in zip(axes.flat, experiments, titles, strict=False):
        run = experiment.runs[0]
        plots.scatter(axis, run.sample.points, run.sample.labels, run.sample.classes.tolist())
        accuracy, rank = 100 * run.evaluated("knn_accuracy"), run.evaluated("rankme")
        axis.set_title(f"{name}\n" + (f"kNN {accuracy:.2f}%" if run.is_labelled else f"RankMe {rank:.1f}"))
    for axis in axes.flat[len(experiments) :]:
        axis.remove()
    return figure


EMBEDDINGS = Comparison(
    "embedding_comparison",
    embeddings,
    16,
    "the embeddings side by side",
    "t-SNE (scikit-learn) of the same {images} in each experiment's embedding, first seed. "
    "Neighbours are meaningful; the sizes of clusters and the gaps between them mean little.",
)


def distances(experiments: Sequence[Experiment]) -> Figure | None:
    """Draw each experiment's distances within and between classes, in units of the mean between classes."""
    experiments = [each for each in experiments if each.runs[0].is_labelled]
    if not experiments:
        return None
    titles = [_wrapped(experiment, 80) for experiment in experiments]
    height = 1.3 + LINE * _lines(titles)
    figure, axes = style.figure(7.5, height * len(experiments) + 0.7, len(experiments), sharex=True)
    end = WIDTH
    for [axis], experiment, name in zip(axes, experiments, titles, strict=True):
        run = experiment.runs[0]
        between = run.evaluated("between_distance")
        unit = between if between > 0 else 1  # after a collapse there is none
        drawn = run.sample.edges / unit, run.sample.same, run.sample.different
        plots.distances(axis, *drawn)
        end = max(end, plots.reach(*drawn))
        ratio, overlap = (run.evaluated(f"distance_{name}") for name in ("ratio", "overlap"))
        axis.set_title(f"{name}\nwithin / between {ratio:.2f}, {100 * overlap:.0f}% overlap")
        axis.set_ylabel("pairs, %")
    axes[-1, 0].set(
        xlim=(0, min(end, MOST_WIDTH)), xlabel="distance, in units of the mean distance between classes"
    )
    axes[0, 0].legend(loc="upper right")
    return figure


DISTANCES = Comparison(
    "distance_comparison",
    distances,
    8,
    "distances within and between classes",
    "All pairs of the same {images}, first seed. Distances are divided by the mean distance between "
    "classes, so that embeddings of different scale can be compared: the less overlap, the better the classes "
    "are separated.",
)


def with_few_labels(experiments: Sequence[Experiment]) -> Figure | None:
    """Draw each experiment's accuracy with few labels a class, of its first seed."""
    experiments = [each for each in experiments if drawings.accuracies(each.runs[0], "knn")[0]]
    if not experiments:
        return None
    titles = [_wrapped(experiment, 34) for experiment in experiments]
    figure, [axes] = style.figure(9, max(3.2, LINE * _lines(titles) * len(titles) + 0.4), columns=2)
    for axis, (classifier, (label, _)) in zip(axes, few_labels.CLASSIFIERS.items(), strict=True):
        for index, experiment in enumerate(experiments):
            values = drawings.accuracies(experiment.runs[0], classifier)
            repeated, position = divmod(index, len(COLOURS))
            plots.few(axis, *values, color=COLOURS[position], linestyle=DASHES[repeated])
        plots.to_100(axis)
        axis.set_title(f"{label}, accuracy, %")
    entries = [(container[0], title) for container, title in zip(axes[0].containers, titles, strict=True)]
    plots.legend(figure, entries, loc="outside right")
    return figure


WITH_FEW_LABELS = Comparison(
    "few_label_comparison",
    with_few_labels,
    len(COLOURS) * len(DASHES),
    "accuracy with few labels",
    "Accuracy on {images} of classifiers that learn from 1, 10 and 100 train images a class: mean and standard "
    "deviation of five draws, which are the same wherever the train images are. First seed. What was trained "
    "with labels has seen all of them.",
)


def class_accuracies(experiments: Sequence[Experiment]) -> Figure | None:
    """Draw the accuracy of each experiment's MLP probe in each class, of its first seed."""
    experiments = [each for each in experiments if each.runs[0].sample.confusion is not None]
    classes = experiments[0].runs[0].sample.classes.tolist() if experiments else []
    if not 0 < len(classes) <= 20:
        return None
    titles = [_wrapped(experiment, 34) for experiment in experiments]
    counts = np.stack([each.runs[0].sample.confusion for each in experiments])
    shares = np.diagonal(counts, axis1=1, axis2=2) / np.maximum(counts.sum(axis=2), 1)
    figure, [[axes]] = style.figure(4 + 0.5 * len(classes), 1.4 + 0.36 * len(titles) * _lines(titles))
    plots.shares(axes, shares, titles, plots.shortened(classes))
    return figure


CLASS_ACCURACIES = Comparison(
    "class_comparison",
    class_accuracies,
    16,
    "accuracy class by class",
    "Share of the {images} in each class that the MLP probe on the frozen embedding puts there, in per cent; "
    "first seed.",
)


def curves(experiments: Sequence[Experiment]) -> Figure | None:
    """Draw how the loss falls, and kNN accuracy (or RankMe) on validation rises, a line for each seed.

    A panel that would have lines of fewer than three points is left out.
    """
    experiments = [each for each in experiments if each.runs[0].is_trained]
    both = ((_plot_quality, drawings.quality), (_plot_loss, relative_loss))
    panels = [panel for panel, curve in both if has_course(curve, experiments)]
    if not panels:
        return None
    titles = [_wrapped(experiment, 34) for experiment in experiments]
    # There is no room for many names next to the plots.
    below = len(experiments) > len(COLOURS)
    columns = 3 if below else 1
    legend = LINE * _lines(titles) * -(-len(experiments) // columns) + 0.4
    height = 3.4 + legend if below else max(3.4, legend)
    figure, [axes] = style.figure(1.8 + 3.8 * len(panels), height, columns=len(panels))
    entries = []
    for index, experiment in enumerate(experiments):
        repeated, position = divmod(index, len(COLOURS))
        look = {"color": COLOURS[position], "linestyle": DASHES[repeated % len(DASHES)]}
        for run in experiment.runs:
            for panel, axis in zip(panels, axes, strict=True):
                panel(axis, run, look)
        entries.append((axes[-1].lines[-1], titles[index]))
    for panel, axis in zip(panels, axes, strict=True):
        _spread(axis, "x" if panel is _plot_quality else "y")
    plots.legend(figure, entries, loc="outside lower left" if below else "outside right", ncols=columns)
    return figure


def relative_loss(run: Finished) -> tuple[np.ndarray, np.ndarray]:
    """Return (shares of training, train losses relative to the first): what objectives can be compared by."""
    epochs, losses = history.series(run.lines, "train/loss")
    return epochs / run.record["epochs"], losses / (next(iter(losses), 0) or 1)


def has_course(
    curve: Callable[[Finished], tuple[np.ndarray, np.ndarray]], experiments: Iterable[Experiment]
) -> bool:
    """Return whether any seed of any experiment has enough points for a panel of its own."""
    return any(len(curve(run)[0]) >= drawings.POINTS for each in experiments for run in each.runs)


def _plot_quality(axes: Axes, run: Finished, look: Mapping[str, Any]) -> None:
    drawings.plot_quality(axes, run, marker="o", markersize=3, **look)


def _plot_loss(axes: Axes, run: Finished, look: Mapping[str, Any]) -> None:
    axes.plot(*relative_loss(run), linewidth=0.8, **look)
    axes.set(title="train loss, relative to its first value", xlabel="share of training")


def _spread(axes: Axes, name: str) -> None:
    """Make an axis logarithmic, unless all is 0: a loss that is always 0 has no place on a logarithmic scale."""
    values = [value for line in axes.lines for value in getattr(line, f"get_{name}data")()]
    if max(values, default=1) > 0:
        axes.set(**{f"{name}scale": "log"})
        plots.plain_ticks(getattr(axes, f"{name}axis"))


CURVES = Comparison(
    "learning_curves",
    curves,
    len(COLOURS) * len(DASHES),
    "learning curves",
    "Left: kNN accuracy on the validation split during training, or RankMe if there are no labels. "
    "Right: the training loss relative to its "
    "first value; losses of different objectives have no common scale. Each line is a seed.",
)


def _parts(experiments: Sequence[Experiment], most: int) -> Iterator[Sequence[Experiment]]:
    """Divide experiments into as few parts of at most `most` as there can be, of nearly the same length."""
    size = -(-len(experiments) // -(-len(experiments) // most))
    return (experiments[start : start + size] for start in range(0, len(experiments), size))


def _file_name(dataset: str) -> str:
    """Write a dataset's name as part of a file's, as it is or with a hash: different ones stay different."""
    plain = re.sub(r"[^\w.-]+", "_", dataset, flags=re.ASCII)[:60]
    if plain == dataset.lower():
        return plain
    return f"{plain}-{hashlib.sha256(dataset.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _wrapped(experiment: Experiment, width: int) -> str:
    """Write an experiment's name in at most four lines of a width."""
    return names.wrapped(names.drawn(experiment.title, 3 * width), width)


def _lines(texts: Sequence[str]) -> int:
    return max(text.count("\n") + 1 for text in texts)


COMPARISONS = (EMBEDDINGS, DISTANCES, WITH_FEW_LABELS, CLASS_ACCURACIES, CURVES)
