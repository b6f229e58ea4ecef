"""Paint: the colour of each picture, and the legend that says what the colours mean."""

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Float, Int

from jaxembed.figures import style

# Categories that have a chip and a name on the map, and characters of a name there.
CHIPS, INSIDE = 40, 24
# Colours of a continuous scale, and of what has no value.
STEPS, MISSING = 256, "#c8c8c8"


class Paint(NamedTuple):
    """Colours of n pictures.

    Attributes:
      codes: the number of each picture's colour.
      palette: the colours.
      legend: chips, each of which filters, or a scale, as HTML.
      marks: names on each map: `x`, `y` and `name`, of the largest categories first.
    """

    codes: Int[np.ndarray, " n"]
    palette: list[str]
    legend: str
    marks: list[dict[str, list]]


def plain(count: int) -> Paint:
    """Give all pictures one colour."""
    return Paint(np.zeros(count, np.int32), [matplotlib.colors.to_hex(style.SAME)], "", [])


def categories(
    codes: Int[np.ndarray, " n"], names: Sequence[str], maps: Sequence[Float[np.ndarray, "n 2"]]
) -> Paint:
    """Give each category a colour, a chip and, at the median of its pictures, a name on each map.

    Args:
      codes: the category of each picture.
      names: the name of each category; all of them occur.
      maps: the positions on each map, NaN for what is not there.
    """
    palette = [matplotlib.colors.to_hex(each) for each in style.colours(len(names))]
    counts = np.bincount(codes, minlength=len(names))
    largest = np.argsort(-counts, kind="stable")[:CHIPS]
    chips = "".join(_chip(code, names[code], palette[code], int(counts[code])) for code in sorted(largest.tolist()))
    rest = len(names) - len(largest)
    more = f"<p>The {CHIPS} largest; {rest:,} more have no chip.</p>" if rest else ""
    named = [code for code in largest.tolist() if names[code]]
    marks = [_marks(codes, named, names, positions) for positions in maps]
    return Paint(codes.astype(np.int32), palette, f'<div class="chips">{chips}</div>{more}', marks)


def scale(values: Float[np.ndarray, " n"], write: Callable[[float, float], str]) -> Paint:
    """Colour by a value, from the smallest to the largest; those without one, NaN, are grey.

    Args:
      values: the value of each picture.
      write: what writes a value, given how far apart the smallest and the largest are.
    """
    there = values[~np.isnan(values)]
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 1, STEPS))
    colours = [matplotlib.colors.to_hex(each) for each in shades]
    missing = len(values) - len(there)
    grey = f'<p><i style="background: {MISSING}"></i>{missing:,} without a value</p>' if missing else ""
    if not len(there):
        return Paint(np.zeros(len(values), np.int32), [MISSING], grey, [])
    low, high = float(there.min()), float(there.max())
    steps = np.round((values - low) / ((high - low) or 1) * (STEPS - 1))
    codes = np.where(np.isnan(values), STEPS, steps).astype(np.int32)
    shown = (low, (low + high) / 2, high)
    ends = "".join(f"<span>{html.escape(write(value, high - low))}</span>" for value in shown)
    bar = f'<div class="scale" style="background: linear-gradient(90deg, {", ".join(colours[::15])})"></div>'
    return Paint(codes, [*colours, MISSING], f'{bar}<div class="ends">{ends}</div>{grey}', [])


def _chip(code: int, name: str, colour: str, count: int) -> str:
    title = html.escape(name) or "–"
    return (
        f'<button style="--colour: {colour}" title="{title}" onclick="colours.filter(this, {code})">'
        f'<span class="end"><bdi>{title}</bdi></span> {count:,}</button>'
    )


def _marks(
    codes: Int[np.ndarray, " n"], named: Sequence[int], names: Sequence[str], positions: Float[np.ndarray, "n 2"]
) -> dict[str, list]:
    """Place names at the medians of their pictures; not those with no picture on this map."""
    is_there = ~np.isnan(positions[:, 0])
    members = [(code, positions[is_there & (codes == code)]) for code in named]
    placed = [(names[code], *np.median(points, axis=0).tolist()) for code, points in members if len(points)]
    shown, x, y = zip(*placed, strict=True) if placed else ((), (), ())
    return {"x": list(x), "y": list(y), "name": [_cut(name) for name in shown]}


def _cut(name: str) -> str:
    """Cut a long name at its beginning: the end of a path is what matters."""
    return name if len(name) <= INSIDE else f"…{name[1 - INSIDE :]}"
