"""Charts: the maps as Bokeh draws them: dots, names, thumbnails, and the star of what is searched for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh import models
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from jaxembed.explore.atlas import Map
from jaxembed.explore.paint import Paint
from jaxembed.figures import style

TOOLS = "pan,wheel_zoom,lasso_select,box_select,reset"


def positions(maps: Sequence[Map]) -> dict[str, Any]:
    """Return the columns of the positions: `x`, `y`, and of a second map `x1`, `y1`."""
    return {
        f"{axis}{_end(at)}": each.positions[:, number]
        for at, each in enumerate(maps)
        for number, axis in enumerate("xy")
    }


def draw(
    maps: Sequence[Map],
    points: models.ColumnDataSource,
    query: models.ColumnDataSource,
    paint: Paint,
    *,
    has_pictures: bool,
) -> list[figure]:
    """Draw the maps, of which the first is called "map"; they share the points, and so the selection."""
    plots = []
    for at, each in enumerate(maps):
        end = _end(at)
        plot = _empty(f"map{end}", each.title if len(maps) > 1 else "")
        count = len(each.positions)
        fill = linear_cmap("code", paint.palette, low=-0.5, high=len(paint.palette) - 0.5)
        size = float(np.clip(400 / np.sqrt(count or 1), 3, 9))
        dots = plot.scatter(
            f"x{end}", f"y{end}", source=points, size=size, marker="circle", fill_color=fill, fill_alpha=0.7,
            line_color=None, nonselection_fill_alpha=0.12,
        )  # fmt: skip
        colour = {"fill_color": "#e42536", "line_color": "white"}
        plot.scatter(f"x{end}", f"y{end}", source=query, size=24, marker="star", **colour)
        if has_pictures:
            _add_pictures(plot)
        _add_names(plot, paint.marks[at] if paint.marks else {"x": [], "y": [], "name": []})
        # What is drawn later does not move the map.
        plot.x_range.renderers = plot.y_range.renderers = [dots]
        plots.append(plot)
    return plots


def _end(at: int) -> str:
    return str(at) if at else ""


def _empty(name: str, title: str) -> figure:
    plot = figure(
        tools=TOOLS,
        # Plain, because Bokeh takes a name between dollars for mathematics.
        title=models.Title(text=models.PlainText(title)) if title else None,
        active_drag="lasso_select",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        match_aspect=True,
        output_backend="webgl",
        toolbar_location="above",
        outline_line_color=None,
        background_fill_color="#f8f8f8",
        name=name,
    )
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.logo = None
    return plot


def _add_pictures(plot: figure) -> None:
    """Make room for thumbnails, which the page draws where few pictures are in view."""
    source = models.ColumnDataSource({key: [] for key in ("x", "y", "url", "w", "h", "alpha")})
    source.name = f"{plot.name}-pictures"
    plot.image_url(
        url="url", x="x", y="y", w="w", h="h", w_units="screen", h_units="screen", anchor="center",
        global_alpha="alpha", source=source,
    )  # fmt: skip


def _add_names(plot: figure, marks: dict[str, list]) -> None:
    """Write names, which the page thins out until none overlaps another."""
    source = models.ColumnDataSource(marks, name=f"{plot.name}-marks")
    text = plot.text(
        "x", "y", text="name", source=source, text_align="center", text_baseline="middle", text_font_size="13px",
        text_font_style="bold", text_color=style.INK, background_fill_color="#ffffff", background_fill_alpha=0.75,
        border_radius=4, padding=2,
    )  # fmt: skip
    text.nonselection_glyph = text.selection_glyph = None
