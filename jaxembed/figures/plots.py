"""Plots: what one matplotlib axes shows."""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.patheffects
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import AutoLocator, LogLocator, NullLocator

from jaxembed.figures import names
from jaxembed.figures.style import DIFFERENT, INK, NAME, PALETTE, SAME, WRONG, colours

# Columns of a class's name next to or below a figure, and within one.
MARGIN, INSIDE = 24, 18


def curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, *, colour: Any, label: str) -> None:
    """Draw a noisy curve: itself, faint, and its running mean over 1/25 of it."""
    kernel = np.ones(max(1, len(values) // 25))
    # At the ends there are fewer values to average.
    smooth = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
    marker = "o" if len(values) == 1 else None  # one point has no line
    axes.plot(epochs, values, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(epochs, smooth, color=colour, linewidth=1.8, marker=marker, label=label)


def scatter(axes: Axes, points: np.ndarray, labels: np.ndarray | None, classes: Sequence[str]) -> None:
    """Draw points [n, 2], coloured by class if they have any; scales would mean nothing.

    Each class's name is where it is purest.
    """
    dots = dict(s=min(20, 10_000 / len(points)), linewidths=0, alpha=0.8, rasterized=True)
    shades = np.array(colours(max(1, len(classes))))
    if labels is None:
        labels = np.zeros(len(points), int)
    order = np.argsort(labels, kind="stable")
    axes.scatter(*points[order].T, color=shades[labels[order]], **dots)
    if len(classes) <= len(PALETTE):
        outline = [matplotlib.patheffects.withStroke(linewidth=2.5, foreground="white")]
        for label, name in enumerate(classes):
            if (labels == label).any():
                axes.text(
                    *purest(points, labels == label),
                    names.drawn(name, INSIDE),
                    ha="center",
                    va="center",
                    fontsize=8,
                    fontweight="bold",
                    path_effects=outline,
                    gid=NAME,
                )
    axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    axes.spines[:].set_visible(False)


def purest(points: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Find the point of a class that has the most of its class around it, of equal ones the nearest to its median.

    The medians themselves would coincide where classes are mixed.
    """
    own = points[members]
    squares = np.square(own[:, None] - points[None]).sum(axis=2)
    nearest = np.argsort(squares, axis=1)[:, :30]
    shares = members[nearest].mean(axis=1)
    pure = own[shares == shares.max()]
    return pure[np.square(pure - np.median(own, axis=0)).sum(axis=1).argmin()]


def legend(owner: Axes | Figure, entries: Sequence[tuple[Artist, str]], **options: Any) -> None:
    """Add a legend: (artist, its name); matplotlib itself leaves out names that begin with an underscore."""
    made = owner.legend([artist for artist, _ in entries], ["name"] * len(entries), **options)
    for text, (_, name) in zip(made.get_texts(), entries, strict=True):
        text.set_text(name)


def classes_legend(axes: Axes, classes: Sequence[str]) -> None:
    """Add a legend of the classes' colours to the right of a scatter plot."""
    dots = (Line2D([], [], linestyle="", marker="o", color=colour, alpha=0.8) for colour in colours(len(classes)))
    entries = list(zip(dots, shortened(classes), strict=True))
    legend(axes, entries, loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.2)


def shortened(classes: Iterable[str]) -> list[str]:
    """Shorten the names of classes to what there is room for next to a figure."""
    return [names.drawn(name, MARGIN) for name in classes]


def room(classes: Iterable[str]) -> float:
    """Return the inches by which a figure grows for the names of classes next to it."""
    return max(0.0, 0.08 * max(map(names.columns, shortened(classes)), default=0) - 0.9)


def distances(axes: Axes, edges: np.ndarray, same: np.ndarray, different: np.ndarray) -> None:
    """Draw the distributions of the distances of same-class and of different-class pairs on top of each other."""
    for shares, colour, label in ((same, SAME, "same class"), (different, DIFFERENT, "different classes")):
        axes.stairs(100 * shares, edges, fill=True, color=colour, alpha=0.45)
        axes.stairs(100 * shares, edges, color=colour, linewidth=1.5, label=label)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))


def reach(edges: np.ndarray, *shares: np.ndarray) -> float:
    """Return the distance within which nearly all pairs are, 999 of 1,000 of each kind."""
    found = (np.searchsorted(np.cumsum(each), 0.999 * each.sum()) for each in shares)
    return max(float(edges[min(at + 1, len(edges) - 1)]) for at in found)


def confusion(axes: Axes, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Draw a confusion matrix: each row's shares, with its counts where there is room to read them."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="class")
    if len(classes) > 20:
        return
    axes.set_xticks(range(len(classes)), shortened(classes), rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), shortened(classes))
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.5 else INK
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=7, color=colour)


def shares(axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Draw a table of shares [rows, columns], in per cent, the lower the darker."""
    low = min(0.9, float(values.min()))
    axes.imshow(values, cmap="Blues_r", vmin=low, vmax=1, aspect="auto")
    axes.grid(visible=False)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    for row, column in np.ndindex(*values.shape):
        colour = "white" if values[row, column] < (low + 1) / 2 else INK
        axes.text(
            column, row, f"{100 * values[row, column]:.1f}", ha="center", va="center", fontsize=8, color=colour
        )


def images(axes: Axes, grid: np.ndarray, *, framed: np.ndarray | None = None) -> None:
    """Draw uint8 images [rows, columns, h, w, c] sharply; those where `framed` [rows, columns] get a frame."""
    rows, columns, h, w, c = grid.shape
    gap = _gap(h)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), 255, np.uint8)
    for row, column in np.ndindex(rows, columns):
        top, left = row * (h + gap), column * (w + gap)
        sheet[top : top + h, left : left + w] = grid[row, column]
        if framed is not None and framed[row, column]:
            axes.add_patch(Rectangle((left - 0.5, top - 0.5), w, h, fill=False, edgecolor=WRONG, linewidth=2.2))
    axes.imshow(np.repeat(sheet, 3, axis=2) if c == 1 else sheet, interpolation="nearest")
    _bare(axes)


def captioned(axes: Axes, groups: np.ndarray, captions: Sequence[str], *, across: int) -> None:
    """Draw groups of images on top of each other [m, i, h, w, c], `across` groups a row, a caption below each."""
    m, i, height, width, _ = groups.shape
    down = -(-m // across)
    # Below the images of a row there is room for its captions.
    line = max(4, round(0.45 * width))
    gap = _gap(height)
    sheet = np.full((down * (i * (height + gap) + line), across * (width + gap), 3), 255, np.uint8)
    for at, (group, caption) in enumerate(zip(groups, captions, strict=True)):
        row, column = divmod(at, across)
        top, left = row * (i * (height + gap) + line), column * (width + gap)
        for number, image in enumerate(group):
            start = top + number * (height + gap)
            sheet[start : start + height, left : left + width] = image
        below = top + i * (height + gap)
        axes.text(left + width / 2 - 0.5, below, caption, ha="center", va="top", fontsize=5.5, linespacing=1.05)
    axes.imshow(sheet, interpolation="nearest")
    _bare(axes)


def rows_of(axes: Axes, rows: Iterable[str], height: int) -> None:
    """Name the rows of a grid of images at its left; `height` is that of one image, in pixels."""
    texts = shortened(rows)
    axes.set_yticks([row * (height + _gap(height)) + height / 2 for row in range(len(texts))], texts)
    axes.tick_params(axis="y", length=0)


def plain_ticks(axis: Axis) -> None:
    """Mark a logarithmic scale at 0.2, 0.5, 1, 2, 5, 10 and so on, rather than at powers of ten."""
    low, high = axis.get_view_interval()
    if high < 5 * low:  # fewer than two of these may be on it
        axis.set_major_locator(AutoLocator())
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 2000 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def to_100(axes: Axes) -> None:
    """End a scale of percentages at 100, for all that is drawn so far: there is nothing above it."""
    axes.autoscale(axis="y")  # an earlier call has stopped that
    axes.set_ylim(top=min(100, axes.get_ylim()[1]))


def few(axes: Axes, counts: Sequence[int], means: np.ndarray, deviations: np.ndarray, **line: Any) -> None:
    """Draw accuracies over the number of labels a class, in per cent, with their deviations as far as 0 and 100."""
    bars = 100 * np.minimum(deviations, np.maximum(0, [means, 1 - means]))
    axes.errorbar(counts, 100 * means, yerr=bars, marker="o", markersize=4, capsize=2, **line)
    axes.set(xscale="log", xlabel="labels a class")
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _gap(height: int) -> int:
    """Pixels between two images of a grid."""
    return max(1, height // 12)
