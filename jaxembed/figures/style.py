"""The style of all figures: fonts, colours, and how a figure is made and saved.

The same class has the same colour in every figure.
"""

import contextlib
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from adjustText import adjust_text
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from jaxembed.core import files
from jaxembed.figures import fonts

# Petroff 2021 (arXiv:2107.02270): ten colours told apart with any colour vision.
PALETTE = matplotlib.color_sequences["petroff10"]
SAME, DIFFERENT, WRONG = PALETTE[0], PALETTE[1], PALETTE[2]
INK, FAINT = "#222222", "#8a8a8a"
DPI = 130
NAME = "name"  # marks the name of a class in a scatter plot

STYLE = {
    "font.family": fonts.FAMILY,
    # A name between dollars is no mathematics.
    "text.parse_math": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": DPI,
    # Twice the pixels that a page has room for: sharp on any screen, and when it is enlarged.
    "savefig.dpi": 2 * DPI,
}


def style() -> contextlib.AbstractContextManager[None]:
    """Draw in the project's style inside this context; matplotlib's own settings are left unchanged."""
    return matplotlib.rc_context(STYLE)


def figure(
    width: int | float, height: int | float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure of rows × columns axes, width × height inches, outside pyplot and its global state."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG, with the names in scatter plots moved apart."""
    for text in figure.findobj(Text):
        families = fonts.families(text.get_text())
        if len(families) > 1:
            text.set(fontfamily=families, fontweight="normal")  # the others may have no bold letters
    # The layout makes room for labels next to axes with a fixed aspect only the second time.
    figure.draw_without_rendering()
    for axes in figure.axes:
        names = [text for text in axes.texts if text.get_gid() == NAME]
        # A number of iterations rather than a time, which would make the picture depend on the machine.
        options = dict(avoid_self=False, ensure_inside_axes=False, force_explode=0, only_move="y", iter_lim=1000)
        adjust_text(names, ax=axes, **options)
    with files.replacing(file) as partial:
        figure.savefig(partial, format="png")


def size(picture: Image.Image) -> tuple[int, int]:
    """Return the width and the height at which a page shows a figure: in all of them, text has one size then."""
    across, down = picture.info.get("dpi", (DPI, DPI))
    return round(picture.width * DPI / across), round(picture.height * DPI / down)


def colours(classes: int) -> list[Any]:
    """Return the colour of each class: from the palette for up to ten, beyond that a hue each."""
    if classes <= len(PALETTE):
        return list(PALETTE[:classes])
    return [matplotlib.colormaps["turbo"](value) for value in np.linspace(0.03, 0.97, classes)]
