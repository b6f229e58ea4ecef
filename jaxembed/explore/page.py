"""The page: a map with image tooltips, a list of the lassoed images, and the nearest neighbours of a new image."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.colors
import numpy as np
from bokeh import models
from bokeh.document import Document
from bokeh.embed import bundle, elements
from bokeh.embed.util import RenderItem
from bokeh.events import DocumentReady
from bokeh.plotting import figure
from bokeh.resources import Resources
from bokeh.transform import linear_cmap

from jaxembed.core import files
from jaxembed.embed.sources import Album
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import decoding, grid
from jaxembed.explore.selection import Selection
from jaxembed.figures import style

TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent))
# Stands for the token of a session in the text of the page.
SESSION = "SESSION-TOKEN"
# Images listed of a selection, and bytes of a new picture.
MAX_LISTED, LARGEST = 60, 100 * 2**20
# A file that is chosen, as one that is dropped, is searched for by a function in the page's template.
CHOOSE = '<input type="file" accept="image/*" onchange="search(this.files[0])">'
# So is a text, of an encoder with words.
ASK = '<input type="search" placeholder="Search by words" maxlength="300" size="40" onchange="search(this.value)">'
# Names are searched for in the page.
FIND = '<input type="text" placeholder="Find names with …" maxlength="300" size="40" onchange="find(this.value)">'
# A click on a point selects it; a selection of one is shown.
TAP, TAPPED = "tap(cb_data)", "if (cb_obj.indices.length == 1) pick(cb_obj.indices[0])"
# Classes that have a chip.
CHIPS = 40
# What the page says instead where there is no encoder.
WITHOUT = "New images cannot be searched for: that needs the encoder, as RUN before the file of vectors."
SAVE = """
const {text, file} = chosen.data
const link = document.createElement("a")
link.href = URL.createObjectURL(new Blob([text[kind]], {type: "text/plain"}))
link.download = file[kind]
link.click()
URL.revokeObjectURL(link.href)
"""
# The same for all documents, and many: sent as they are, not encoded anew for each document.
LOAD = """
const add = (texts) => points.setv({data: {...points.data, ...texts}}, {sync: false})
fetch("texts").then((answer) => answer.json()).then(add).then(() => bar.begin())
"""
TOOLTIP = """<div style="max-width: 240px; font-size: 13px; overflow-wrap: anywhere">
<img src="image/$index" style="display: block; max-width: 224px; max-height: 224px; min-width: 96px;
image-rendering: auto; margin-bottom: 4px">@name @label</div>"""
STYLE = """
.bk-clearfix { width: 100%; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 6px; }
.grid { font: 11px system-ui; }
.grid figure { margin: 0; } .grid img { width: 100%; height: 88px; object-fit: contain; background: #f3f3f3; }
.grid figcaption { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: #555; }
.grid figure { cursor: pointer; }
.chosen img { max-width: 100%; max-height: 420px; min-width: 200px; display: block; margin: 4px 0 8px; }
.chips button { font: 12px system-ui; margin: 2px 4px 2px 0; padding: 1px 8px; border: 1px solid #bbb; }
.chips button { border-radius: 10px; background: #fff; border-left: 12px solid var(--colour); cursor: pointer; }
.query img { max-width: 160px; max-height: 160px; display: block; margin: 4px 0 10px; outline: 3px solid #e42536; }
p { margin: 4px 0; font: 13px/1.4 system-ui; overflow-wrap: anywhere; }
"""


class Page:
    """Builds a document for each browser that opens the page."""

    def __init__(
        self, embedded: Vectors, originals: Album | None, *, takes_pictures: bool, takes_texts: bool
    ) -> None:
        """Prepare what all documents share; without an encoder the page takes no new pictures, nor texts."""
        self.embedded, self.takes_pictures, self.takes_texts = embedded, takes_pictures, takes_texts
        self.encoder = files.utf8(files.printable(embedded.about.encoder))
        self.selection = Selection(embedded, originals)
        self.title = f"{self.encoder}: {len(embedded.names):,} images"
        self.names = [files.utf8(files.printable(name)) for name in embedded.names]
        self.labels = [files.utf8(files.printable(label)) for label in embedded.labels]
        self.classes = sorted(set(self.labels))
        self.codes = np.searchsorted(self.classes, self.labels) if self.classes else np.zeros(0, int)
        self.colours = [matplotlib.colors.to_hex(each) for each in style.colours(max(1, len(self.classes)))]

    def text(self, resources: Resources, desk: Mapping[str, Any]) -> str:
        """Render the page, with the desk's values; it loads its document by the token that replaces SESSION."""
        item = RenderItem(token=SESSION, elementid="shown", use_for_title=True)
        scripts = bundle.bundle_for_objs_and_resources(None, resources)
        limits = {"bytes": LARGEST, "megabytes": LARGEST // 2**20}
        values = {"takes_pictures": self.takes_pictures, "without": WITHOUT} | limits | desk
        template = TEMPLATES.get_template("page.html")
        return elements.html_page_for_render_items(scripts, {}, [item], self.title, template, values)

    def texts(self) -> str:
        """Write the columns of texts as JSON."""
        return json.dumps({"name": self.names, "label": self.labels})

    def add_to(self, document: Document) -> None:
        """Add the page to a document."""
        x, y = np.asarray(self.embedded.positions, np.float32).T
        points = models.ColumnDataSource({"x": x, "y": y, "code": self.codes})
        document.js_on_event(DocumentReady, models.CustomJS(args={"points": points}, code=LOAD))
        new = models.ColumnDataSource({"x": [], "y": []}, name="query")
        chosen = models.ColumnDataSource({"text": [], "file": []})
        selected = _div(self._selection([]))
        saves = self._saves(chosen)

        def select(_: str, __: object, rows: list[int]) -> None:
            chosen.data = {"text": self.selection.texts(rows), "file": [file for _, file in self.selection.kinds]}
            for save in saves.children:
                save.disabled = not rows
            selected.text = self._selection(rows)

        points.selected.on_change("indices", select)
        points.selected.js_on_change("indices", models.CustomJS(code=TAPPED))
        parts = (_div(self._head()), *self._queries(), _div("", name="neighbours"), saves, selected)
        side = models.Column(*parts, width=430, height_policy="max", styles={"overflow-y": "auto"})
        plot = self._plot(points, new)
        document.add_root(models.Row(plot, side, sizing_mode="stretch_both", name="page", spacing=16))
        document.title = self.title

    def _saves(self, chosen: models.ColumnDataSource) -> models.Row:
        """Make a button for each text of the selection, which saves it as a file."""
        buttons = []
        for kind, (name, _) in enumerate(self.selection.kinds):
            button = models.Button(label=f"Save {name}", disabled=True, sizing_mode="stretch_width")
            button.js_on_click(models.CustomJS(args={"chosen": chosen, "kind": kind}, code=SAVE))
            buttons.append(button)
        return models.Row(*buttons, sizing_mode="stretch_width")

    def _head(self) -> str:
        text = f"{len(self.names):,} images in the embedding of {html.escape(self.encoder)}"
        limits = f"{decoding.PIXELS // 10**6} megapixels and {LARGEST // 2**20} MiB"
        hint = "Choose an image, or drop one anywhere on the page, to find its nearest neighbours"
        hint = f"{hint} (up to {limits})." if self.takes_pictures else WITHOUT
        click = "Click a point or an image to see it and its nearest neighbours; with shift, to select it as well."
        return f"<p><b>{text}</b></p><p>{click}</p><p>{hint}</p>"

    def _queries(self) -> list[models.Div]:
        fields = [CHOOSE] * self.takes_pictures + [f"<p>{ASK}</p>"] * self.takes_texts
        return [_div("".join([*fields, f"<p>{FIND}</p>", self._chips()]))]

    def _chips(self) -> str:
        """Write a button for each class, which selects its images; none where there is one class, or very many."""
        if not 1 < len(self.classes) <= CHIPS:
            return ""
        counts = np.bincount(self.codes, minlength=len(self.classes))
        chips = (
            f'<button style="--colour: {colour}" onclick="filter({code})">'
            f"{html.escape(name) or '–'} {count:,}</button>"
            for code, (name, colour, count) in enumerate(zip(self.classes, self.colours, counts, strict=True))
        )
        return f'<div class="chips">{"".join(chips)}</div>'

    def _plot(self, points: models.ColumnDataSource, new: models.ColumnDataSource) -> figure:
        tools = "pan,wheel_zoom,lasso_select,box_select,reset"
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
        plot.scatter("x", "y", source=new, size=24, marker="star", fill_color="#e42536", line_color="white")
        hover = models.HoverTool(tooltips=TOOLTIP, renderers=[dots], limit=1)
        tap = models.TapTool(renderers=[dots], behavior="inspect", callback=models.CustomJS(code=TAP))
        plot.add_tools(hover, tap)
        return plot

    def _selection(self, rows: list[int]) -> str:
        if not rows:
            return "<p>Lasso points to list their images.</p>"
        more = f", first {MAX_LISTED} shown" if len(rows) > MAX_LISTED else ""
        return f"<p><b>{len(rows):,} selected</b>{more}</p>{grid.render(self.names, rows[:MAX_LISTED])}"


def _div(text: str, name: str | None = None) -> models.Div:
    stylesheets = [models.InlineStyleSheet(css=STYLE)]
    styles = {"flex": "none"}  # never lower than its text, which would lie over what is below
    return models.Div(text=text, name=name, sizing_mode="stretch_width", stylesheets=stylesheets, styles=styles)
