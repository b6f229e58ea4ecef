"""Figures of one run, drawn from its folder: neither its model nor its dataset is needed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxembed.artifacts import history
from jaxembed.artifacts.finished import Finished
from jaxembed.figures import names, plots, style, suspects
from jaxembed.kernels import space
from jaxembed.metrics import few_labels

# Fewer points show no course.
POINTS = 3


class Drawing(NamedTuple):
    """A figure of a run: what draws it, or returns None where it has nothing to show, and its caption."""

    make: Callable[[Finished], Figure | None]
    caption: str


def loss(run: Finished) -> Figure | None:
    """Draw the loss on train, smoothed over raw, and on validation; next to it the kNN accuracy, or RankMe."""
    epochs, losses = history.series(run.lines, "train/loss")
    if len(epochs) < POINTS:  # the log is lost, or next to nothing was trained
        return None
    followed = len(quality(run)[0]) >= POINTS
    figure, [[left, *right]] = style.figure(8, 3, columns=1 + followed, width_ratios=(3, 2)[: 1 + followed])
    plots.curve(left, epochs, losses, colour=style.PALETTE[0], label="train")
    dots = {"color": style.PALETTE[1], "marker": "o", "markersize": 4}
    after, held_out = validation(run, "loss")
    if len(after):
        left.plot(after, held_out, label="validation", **dots)
    # The first steps start so high that nothing after them could be seen.
    left.set_ylim(top=1.05 * np.nanmax([np.quantile(losses, 0.98), *held_out]))
    left.set(title=_title(run, "loss", 44), xlabel="epoch", ylabel="loss")
    left.legend()
    for axes in right:
        plot_quality(axes, run, **dots)
    return figure


def plot_quality(axes: Axes, run: Finished, **line: Any) -> None:
    """Plot how good an embedding is during training, as `quality` says."""
    axes.plot(*quality(run), **line)
    axes.set(title=quality_title(run), xlabel="epoch")
    if run.is_labelled:
        plots.to_100(axes)


def quality(run: Finished) -> tuple[np.ndarray, np.ndarray]:
    """Return (epochs, kNN accuracy on validation in per cent), or without labels RankMe."""
    epochs, values = validation(run, "knn_accuracy" if run.is_labelled else "rankme")
    return epochs, 100 * values if run.is_labelled else values


def quality_title(run: Finished) -> str:
    """Name what `quality` returns."""
    return "kNN accuracy on validation, %" if run.is_labelled else "RankMe on validation: dimensions in use"


def validation(run: Finished, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a validation series, its end included, which is in the result rather than among the lines."""
    epochs, values = history.series(run.lines, f"validation/{name}")
    if f"validation/{name}" not in run.record["metrics"]:
        return epochs, values
    return np.append(epochs, run.record["epochs"]), np.append(values, run.measured(f"validation/{name}"))


def embeddings(run: Finished) -> Figure:
    """Draw the t-SNE picture of the sample, coloured by class."""
    classes = run.sample.classes.tolist()
    listed = classes if len(classes) <= 20 else []
    figure, [[axes]] = style.figure(6.6 + plots.room(listed), 5.2)
    plots.scatter(axes, run.sample.points, run.sample.labels, classes)
    trust = f"trustworthiness {run.evaluated('trustworthiness'):.3f}"
    axes.set_title(_title(run, f"t-SNE of {len(run.sample.rows):,} {run.split} images") + f"\n{trust}")
    if listed:
        plots.classes_legend(axes, listed)
    return figure


def distances(run: Finished) -> Figure | None:
    """Draw the distributions of the distances within and between classes."""
    if not run.is_labelled:
        return None
    figure, [[axes]] = style.figure(6.6, 3.2)
    plots.distances(axes, run.sample.edges, run.sample.same, run.sample.different)
    overlap = run.evaluated("distance_overlap")
    axes.set(
        title=_title(run, f"distances between {run.split} images, {100 * overlap:.0f}% overlap"),
        xlabel=space.NAMES.get(run.record["distance"], "distance"),
        ylabel="pairs, %",
    )
    axes.legend()
    return figure


def neighbours(run: Finished) -> Figure | None:
    """Draw a test image of each class and its nearest train images; those in a different class are framed."""
    sample = run.sample
    if sample.images is None:
        return None
    grid = np.concatenate([sample.queries[:, None], sample.found], axis=1)
    rows = sample.classes[sample.query_labels].tolist() if run.is_labelled else []
    figure, [[axes]] = style.figure(6.6 + plots.room(rows), 0.62 * len(grid) + 0.6)
    title = _title(run, f"{run.split} images (first column) and their nearest train images", 64)
    if run.is_labelled:
        wrong = sample.found_labels != sample.query_labels[:, None]
        plots.images(axes, grid, framed=np.pad(wrong, ((0, 0), (1, 0))))
        plots.rows_of(axes, rows, grid.shape[2])
        title += f"\n{wrong.sum()} of {wrong.size} in a different class (framed)"
    else:
        plots.images(axes, grid)
    axes.set_title(title)
    return figure


def confusion(run: Finished) -> Figure | None:
    """Draw the confusion matrix of the MLP probe."""
    if run.sample.confusion is None:
        return None
    classes = run.sample.classes.tolist()
    room = plots.room(classes) if len(classes) <= 20 else 0
    figure, [[axes]] = style.figure(6 + room, 5.4 + room)
    plots.confusion(axes, run.sample.confusion, classes)
    accuracy = 100 * run.evaluated("mlp_accuracy")
    axes.set_title(_title(run, "", 44) + f"\nMLP probe on the {run.split} split, {accuracy:.2f}%")
    return figure


def with_few_labels(run: Finished) -> Figure | None:
    """Draw the accuracies with few labels a class, next to those with all."""
    figure, [[axes]] = style.figure(6.6, 3.2)
    for number, classifier in enumerate(few_labels.CLASSIFIERS):
        counts, means, deviations = accuracies(run, classifier)
        if not counts:
            return None
        colour, all_labels = style.PALETTE[number], 100 * run.evaluated(f"{classifier}_accuracy")
        label = few_labels.CLASSIFIERS[classifier][0]
        plots.few(axes, counts, means, deviations, color=colour, label=label)
        axes.axhline(all_labels, color=colour, linewidth=0.8, linestyle=":")
    plots.to_100(axes)
    axes.set_title(_title(run, f"accuracy on {run.split}, %; dotted: all labels", 60))
    axes.legend(loc="lower right")
    return figure


def accuracies(run: Finished, classifier: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return (numbers of labels a class, mean accuracies with them, standard deviations); empty if not measured."""
    metric = {count: few_labels.metric(classifier, count) for count in few_labels.COUNTS}
    counts = [count for count, name in metric.items() if not np.isnan(run.evaluated(name))]
    values = ([run.evaluated(f"{metric[count]}{end}") for count in counts] for end in ("", "_sd"))
    return counts, *map(np.array, values)


def doctor(run: Finished) -> Figure | None:
    """Draw the first of what the doctor found suspicious in the dataset."""
    if run.diagnosis is None:
        return None
    return suspects.draw(run.diagnosis, _title(run, "what the embedding finds suspicious"), rows=1)


def views(run: Finished) -> Figure | None:
    """Draw the augmented views that the network is trained on, below the train images they were made from."""
    seen = run.sample.seen
    if seen is None:
        return None
    figure, [[axes]] = style.figure(6.6, 0.75 * len(seen) + 0.5)
    plots.images(axes, seen)
    plots.rows_of(axes, ["image", *(f"view {view}" for view in range(1, len(seen)))], seen.shape[2])
    axes.set_title(_title(run, "augmented views in training"))
    return figure


def reconstructions(run: Finished) -> Figure | None:
    """Draw test images above their reconstructions: the best, those at the median, and the worst."""
    sample = run.sample
    if sample.reconstructions is None:
        return None
    figure, axes = style.figure(6.6, 5.6, rows=3)
    shown = (axes, ("best", "at the median", "worst"), sample.errors, sample.originals, sample.reconstructions)
    for [axis], name, errors, *grid in zip(*shown, strict=True):
        plots.images(axis, np.stack(grid))
        plots.rows_of(axis, ("image", "reconstruction"), grid[0].shape[1])
        axis.set_title(f"{name}: L1 {errors.min():.3f} to {errors.max():.3f}")
    title = _title(run, f"{run.split} images and their reconstructions, mean L1 {run.evaluated('l1'):.4f}")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _title(run: Finished, what: str, width: int = 72) -> str:
    """Write the title of a run's figure, in lines of `width` columns."""
    name = f"{names.drawn(run.record['experiment'], 40)}, seed {run.record['seed']}"
    return names.wrapped(f"{name}: {what}" if what else name, width)


FIGURES = {
    "loss": Drawing(
        loss,
        "Loss on train (raw, faint, and its running mean) and on validation; kNN accuracy on validation, "
        "or RankMe if the images have no labels.",
    ),
    "embeddings": Drawing(
        embeddings,
        "t-SNE (scikit-learn) of up to 2,000 images, coloured by class if they have labels.",
    ),
    "distances": Drawing(
        distances,
        "Distances of all pairs of those images, in the same class and in different classes.",
    ),
    "neighbours": Drawing(
        neighbours,
        "Up to ten images with their nearest train images; a frame marks a different class.",
    ),
    "confusion": Drawing(
        confusion,
        "Confusion matrix of the MLP probe on the frozen embedding.",
    ),
    "few_labels": Drawing(
        with_few_labels,
        "Accuracy with 1, 10 and 100 labels a class: mean and standard deviation of five draws. What was "
        "trained with labels has seen all of them.",
    ),
    "reconstructions": Drawing(
        reconstructions,
        "Images above their reconstructions: best, median and worst by L1.",
    ),
    "views": Drawing(
        views,
        "Train images and their augmented views, which are all that the network sees in training.",
    ),
    "doctor": Drawing(
        doctor,
        "The first of what the embedding finds suspicious in the dataset; the tables are doctor/*.csv in "
        "the run's folder.",
    ),
}
# Those that show images or the colours of classes, which no colour scheme of a page may change.
COLOURED = ("embeddings", "neighbours", "reconstructions", "views", "doctor")
