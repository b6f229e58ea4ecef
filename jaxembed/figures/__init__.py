"""Figures of one run, drawn from its folder: neither its model nor its dataset is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxembed.figures import plots, style
from jaxembed.runs import metrics
from jaxembed.runs.finished import Finished

FOLDER = "figures"
# What the axis of distances shows, by the distance of a run.
AXES = {"cosine": "distance on the unit sphere", "euclidean": "Euclidean distance"}


def draw(run: Finished) -> None:
    """Draw every figure that has something to show into the run's folder."""
    folder = run.folder / FOLDER
    folder.mkdir(exist_ok=True)
    for name, make in FIGURES.items():
        file = folder / f"{name}.png"
        with style.style():
            if figure := make(run):
                style.save(figure, file)
            else:
                file.unlink(missing_ok=True)  # from an earlier evaluation


def drawn(run: Finished) -> dict[str, Path]:
    """List the figures that a run's folder has: name -> file."""
    files = {name: run.folder / FOLDER / f"{name}.png" for name in FIGURES}
    return {name: file for name, file in files.items() if file.exists()}


def loss(run: Finished) -> Figure:
    """Draw the loss on train, smoothed over raw, and on validation; next to it the kNN accuracy, or RankMe."""
    figure, [[left, right]] = style.figure(8, 3, columns=2, width_ratios=(3, 2))
    epochs, losses = metrics.series(run.lines, "train/loss")
    plots.curve(left, epochs, losses, colour=style.PALETTE[0], label="train")
    dots = {"color": style.PALETTE[1], "marker": "o", "markersize": 4}
    after, held_out = validation(run, "loss")
    if len(after):
        left.plot(after, held_out, label="validation", **dots)
    # The first steps start so high that nothing after them could be seen.
    left.set_ylim(top=1.05 * np.nanmax([np.quantile(losses, 0.98), *held_out]))
    left.set(title=f"{run.name}: loss", xlabel="epoch", ylabel="loss")
    left.legend()
    quality(right, run, **dots)
    return figure


def quality(axes: Axes, run: Finished, **line: Any) -> None:
    """Plot what says how good an embedding is during training: kNN accuracy, without labels RankMe."""
    metric, title, factor = ("knn_accuracy", "kNN accuracy on validation, %", 100)
    if not run.is_labelled:
        metric, title, factor = ("rankme", "RankMe on validation: dimensions in use", 1)
    epochs, values = validation(run, metric)
    axes.plot(epochs, factor * values, **line)
    axes.set(title=title if len(epochs) else "no validation split", xlabel="epoch")
    if factor == 100:
        plots.to_100(axes)


def validation(run: Finished, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a validation series, its end included, which is in the result rather than among the lines."""
    epochs, values = metrics.series(run.lines, f"validation/{name}")
    if f"validation/{name}" not in run.record["metrics"]:
        return epochs, values
    return np.append(epochs, run.record["epochs"]), np.append(values, run.measured(f"validation/{name}"))


def embeddings(run: Finished) -> Figure:
    """Draw the t-SNE picture of the sample, coloured by class."""
    figure, [[axes]] = style.figure(6.6, 5.2)
    plots.scatter(axes, run.sample.points, run.sample.labels, run.sample.classes.tolist())
    trust = f"trustworthiness {run.evaluated('trustworthiness'):.3f}"
    axes.set_title(f"{run.name}: t-SNE of {len(run.sample.rows):,} {run.split} images\n{trust}")
    if run.is_labelled and len(run.sample.classes) <= 20:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=3, handletextpad=0.2)
    return figure


def distances(run: Finished) -> Figure | None:
    """Draw the distributions of the distances within and between classes."""
    if not run.is_labelled:
        return None
    figure, [[axes]] = style.figure(6.6, 3.2)
    plots.distances(axes, run.sample.edges, run.sample.same, run.sample.different)
    overlap = run.evaluated("distance_overlap")
    axes.set(
        title=f"{run.name}: distances between {run.split} images, {100 * overlap:.0f}% overlap",
        xlabel=AXES[run.record["distance"]],
        ylabel="pairs, %",
    )
    axes.legend()
    return figure


def neighbours(run: Finished) -> Figure:
    """Draw a test image of each class and its nearest train images; those in a different class are framed."""
    sample = run.sample
    grid = np.concatenate([sample.queries[:, None], sample.found], axis=1)
    figure, [[axes]] = style.figure(6.6, 0.62 * len(grid) + 0.6)
    title = f"{run.name}: {run.split} images (first column) and their nearest train images"
    if run.is_labelled:
        wrong = sample.found_labels != sample.query_labels[:, None]
        plots.images(axes, grid, framed=np.pad(wrong, ((0, 0), (1, 0))))
        plots.rows_of(axes, sample.classes[sample.query_labels], grid.shape[2])
        title += f"\n{wrong.sum()} of {wrong.size} in a different class (framed)"
    else:
        plots.images(axes, grid)
    axes.set_title(title)
    return figure


def confusion(run: Finished) -> Figure | None:
    """Draw the confusion matrix of the MLP probe."""
    if not run.is_labelled:
        return None
    figure, [[axes]] = style.figure(6, 5.4)
    plots.confusion(axes, run.sample.confusion, run.sample.classes.tolist())
    accuracy = 100 * run.evaluated("mlp_accuracy")
    axes.set_title(f"{run.name}\nMLP probe on the {run.split} split, {accuracy:.2f}%")
    return figure


def views(run: Finished) -> Figure | None:
    """Draw the augmented views that the network is trained on, below the train images they were made from."""
    seen = run.sample.seen
    if seen is None:
        return None
    figure, [[axes]] = style.figure(6.6, 0.75 * len(seen) + 0.5)
    plots.images(axes, seen)
    plots.rows_of(axes, ["image", *(f"view {view}" for view in range(1, len(seen)))], seen.shape[2])
    axes.set_title(f"{run.name}: augmented views in training")
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
    title = f"{run.name}: {run.split} images and their reconstructions, mean L1 {run.evaluated('l1'):.4f}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


FIGURES: dict[str, Callable[[Finished], Figure | None]] = {
    "loss": loss,
    "embeddings": embeddings,
    "distances": distances,
    "neighbours": neighbours,
    "confusion": confusion,
    "reconstructions": reconstructions,
    "views": views,
}

CAPTIONS = {
    "loss": "Loss on train (raw, faint, and its running mean) and on validation; kNN accuracy on validation, or "
    "RankMe if the images have no labels.",
    "embeddings": "t-SNE (scikit-learn) of up to 2,000 images, coloured by class if they have labels.",
    "distances": "Distances of all pairs of those images, in the same class and in different classes.",
    "neighbours": "Up to ten images with their nearest train images; a frame marks a different class.",
    "confusion": "Confusion matrix of the MLP probe on the frozen embedding.",
    "reconstructions": "Images above their reconstructions: best, median and worst by L1.",
    "views": "Train images and their augmented views, which are all that the network sees in training.",
}
