"""A text as a small square picture, for a cell between pictures."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from jaxembed.figures import fonts, names, style

# Pixels per inch; and at the font's size, how many columns a line of a cell of 160 pixels has, and all its lines.
DPI, POINTS, LINE, ALL = 100, 9, 18, 130


def draw(text: str, side: int) -> Image.Image:
    """Draw a text in the middle of a white square of `side` pixels; the middle of a long text is left out."""
    shown = names.wrapped(names.drawn(text, ALL), LINE)
    with style.style():
        figure = Figure(figsize=(side / DPI, side / DPI), dpi=DPI)
        options = {"ha": "center", "va": "center", "fontfamily": fonts.families(shown)}
        figure.text(0.5, 0.5, shown, fontsize=POINTS * side / 160, color=style.INK, **options)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
