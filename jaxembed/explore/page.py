"""The page: a map with image tooltips, a list of the lassoed images, and the nearest neighbours of a new image."""

import base64
import html
import io
from pathlib import Path

import jinja2
import matplotlib.colors
import numpy as np
from bokeh import models
from bokeh.document import Document
from bokeh.plotting import figure
from bokeh.transform import linear_cmap
from PIL import Image

from jaxembed import pictures
from jaxembed.core import files
from jaxembed.core.errors import JaxembedError
from jaxembed.embed import projection
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.embed.index import Approximate, Exact, Neighbours
from jaxembed.embed.vectors import Vectors
from jaxembed.figures import style
from jaxembed.kernels import space

TEMPLATE = Path(__file__).with_name("page.html")
# Images listed of a selection, and neighbours shown of a new image.
MAX_LISTED, NEIGHBOURS = 60, 12
SAVE = """
const text = chosen.data.name.join("\\n") + "\\n"
const link = document.createElement("a")
link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"}))
link.download = "selection.txt"
link.click()
URL.revokeObjectURL(link.href)
"""
TOOLTIP = """<div style="max-width: 240px; font-size: 13px; overflow-wrap: anywhere">
<img src="image/$index" style="display: block; max-width: 224px; max-height: 224px; min-width: 96px;
image-rendering: auto; margin-bottom: 4px">@name @label</div>"""
STYLE = """
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 6px; }
.grid { font: 11px system-ui; }
.grid figure { margin: 0; } .grid img { width: 100%; height: 88px; object-fit: contain; background: #f3f3f3; }
.grid figcaption { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: #555; }
.query img { max-width: 160px; max-height: 160px; display: block; margin: 4px 0 10px; outline: 3px solid #e42536; }
p { margin: 4px 0; font: 13px/1.4 system-ui; overflow-wrap: anywhere; }
"""


class Page:
    """Builds a document for each browser that opens the page."""

    def __init__(self, encoder: FrozenEncoder, embedded: Vectors, index: Exact | Approximate) -> None:
        """Prepare what all documents share."""
        self.encoder, self.embedded, self.index = encoder, embedded, index
        self.names = [files.utf8(files.printable(name)) for name in embedded.names]
        self.labels = [files.utf8(files.printable(label)) for label in embedded.labels]
        classes = sorted(set(self.labels))
        self.codes = np.searchsorted(classes, self.labels) if classes else np.zeros(0, int)
        self.colours = [matplotlib.colors.to_hex(each) for each in style.colours(max(1, len(classes)))]

    def add_to(self, document: Document) -> None:
        """Add the page to a document."""
        x, y = np.asarray(self.embedded.positions, np.float32).T
        columns = {"x": x, "y": y, "name": self.names, "label": self.labels, "code": self.codes}
        points = models.ColumnDataSource(columns)
        query = models.ColumnDataSource({"x": [], "y": []})
        chosen = models.ColumnDataSource({"name": []})
        text = f"{len(self.names):,} images in the embedding of {html.escape(self.encoder.name)}"
        hint = "Choose an image, or drop one anywhere on the page, to find its nearest neighbours."
        head = _div(f"<p><b>{text}</b></p><p>{hint}</p>")
        neighbours, selected = _div(""), _div(self._selection([]))
        picture = models.FileInput(accept="image/*", name="picture", sizing_mode="stretch_width")
        save = models.Button(label="Save names", disabled=True, sizing_mode="stretch_width", name="save")
        save.js_on_click(models.CustomJS(args={"chosen": chosen}, code=SAVE))

        def select(_: str, __: object, rows: list[int]) -> None:
            chosen.data = {"name": [self.names[row] for row in rows]}
            save.disabled = not rows
            selected.text = self._selection(rows)

        def search(_: str, __: object, content: str) -> None:
            neighbours.text, position = self._search(picture.filename, content)
            query.data = {"x": [position[0]], "y": [position[1]]} if position else {"x": [], "y": []}

        points.selected.on_change("indices", select)
        picture.on_change("value", search)
        parts = (head, picture, neighbours, selected, save)
        side = models.Column(*parts, width=430, height_policy="max", styles={"overflow-y": "auto"})
        plot = self._plot(points, query)
        document.add_root(models.Row(plot, side, sizing_mode="stretch_both", name="page", spacing=16))
        document.title = f"{self.encoder.name}: {len(self.names):,} images"
        document.template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"))

    def _plot(self, points: models.ColumnDataSource, query: models.ColumnDataSource) -> figure:
        tools = "pan,wheel_zoom,lasso_select,box_select,tap,reset"
        plot = figure(
            tools=tools,
            active_drag="lasso_select",
            active_scroll="wheel_zoom",
            sizing_mode="stretch_both",
            match_aspect=True,
            output_backend="webgl",
            toolbar_location="above",
            outline_line_color=None,
            background_fill_color="#f8f8f8",
            name="map",
        )
        plot.axis.visible = plot.grid.visible = False
        plot.toolbar.logo = None
        colours = self.colours
        fill = linear_cmap("code", colours, low=-0.5, high=len(colours) - 0.5)
        size = float(np.clip(400 / np.sqrt(len(self.names) or 1), 3, 9))
        dots = plot.scatter(
            "x", "y", source=points, size=size, fill_color=fill, fill_alpha=0.7, line_color=None,
            nonselection_fill_alpha=0.12,
        )  # fmt: skip
        plot.scatter("x", "y", source=query, size=24, marker="star", fill_color="#e42536", line_color="white")
        hover = models.HoverTool(tooltips=TOOLTIP, renderers=[dots], limit=1)
        plot.add_tools(hover)
        return plot

    def _selection(self, rows: list[int]) -> str:
        if not rows:
            return "<p>Lasso points to list their images.</p>"
        more = f", first {MAX_LISTED} shown" if len(rows) > MAX_LISTED else ""
        return f"<p><b>{len(rows):,} selected</b>{more}</p>{self._grid(rows[:MAX_LISTED])}"

    def _grid(self, rows: list[int], captions: list[str] | None = None) -> str:
        captions = captions or [self.names[row] for row in rows]
        cells = "".join(
            f'<figure title="{html.escape(self.names[row])}"><img src="image/{row}" loading="lazy" alt="">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            for row, caption in zip(rows, captions, strict=True)
        )
        return f'<div class="grid">{cells}</div>'

    def _search(self, name: str, content: str) -> tuple[str, list[float] | None]:
        """Embed a new picture: (its neighbours or an error as HTML, its map position or None if unreadable)."""
        name = html.escape(files.printable(name))
        try:
            file = io.BytesIO(base64.b64decode(content))
            with Image.open(file) as opened:
                embedding = self.encoder.embed(opened)
            small = pictures.open_rgb(file)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, JaxembedError) as error:
            return f"<p><b>{name} cannot be read as an image:</b> {html.escape(str(error))}</p>", None
        neighbours = self.index.search(embedding, min(NEIGHBOURS, len(self.names)))
        small.thumbnail((320, 320))
        uri = pictures.as_uri(small, quality=85)
        captions = [
            f"{distance:.3f} {self.names[row]}"
            for row, distance in zip(neighbours.rows[0], neighbours.distances[0], strict=True)
        ]
        grid = self._grid(neighbours.rows[0].tolist(), captions)
        measure = space.NAMES[self.encoder.distance]
        text = f"<p><b>{name}</b> and its nearest neighbours, by {measure}:</p>"
        head = f'<div class="query">{text}<img src="{uri}" alt=""></div>'
        return head + grid, self._interpolate(neighbours)

    def _interpolate(self, neighbours: Neighbours) -> list[float]:
        return projection.interpolate(np.asarray(self.embedded.positions, float), neighbours)[0].tolist()


def _div(text: str) -> models.Div:
    return models.Div(text=text, sizing_mode="stretch_width", stylesheets=[models.InlineStyleSheet(css=STYLE)])
