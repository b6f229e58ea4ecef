"""The page: a map with image tooltips, a list of the lassoed images, and the nearest neighbours of a new image."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from bokeh import models
from bokeh.document import Document
from bokeh.embed import bundle, elements
from bokeh.embed.util import RenderItem
from bokeh.events import DocumentReady
from bokeh.resources import Resources

from jaxembed.core import files
from jaxembed.embed.sources import Album
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import charts, decoding, grid
from jaxembed.explore.atlas import Atlas
from jaxembed.explore.selection import Selection

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
# What the page says instead where there is no encoder.
WITHOUT = "New images cannot be searched for: that needs the encoder, as RUN before the file of vectors."
SAVE = """
const {text, file} = chosen.data
download(new Blob([text[kind]], {type: "text/plain"}), file[kind])
"""
# The same for all documents, and many: sent as they are, not encoded anew for each document.
LOAD = """
const add = (texts) => Object.assign(points.data, texts)  // without a change, which would draw the map again
const begin = () => { colours.begin(); bar.begin() }
fetch("texts").then((answer) => answer.json()).then(add).then(begin)
"""
TOOLTIP = """<div style="max-width: 240px; font-size: 13px; overflow-wrap: anywhere">
<img src="image/$index" style="display: block; max-width: 224px; max-height: 224px; min-width: 96px;
image-rendering: auto; margin-bottom: 4px">@name @label</div>"""
STYLE = """
.bk-clearfix { width: 100%; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 6px; }
.grid { font: 11px system-ui; }
.grid figure { margin: 0; } .grid img { width: 100%; height: 88px; object-fit: contain; background: #f3f3f3; }
.grid figcaption { display: flex; gap: 4px; color: #555; }
.end { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.end { direction: rtl; text-align: left; } .end bdi { direction: ltr; }
.grid figure { cursor: pointer; }
.chosen img { max-width: 100%; max-height: 420px; min-width: 200px; display: block; margin: 4px 0 8px; }
.chips button { font: 12px system-ui; margin: 2px 4px 2px 0; padding: 1px 8px; border: 1px solid #bbb; }
.chips button { border-radius: 10px; background: #fff; border-left: 12px solid var(--colour); cursor: pointer; }
.chips { display: flex; flex-wrap: wrap; } .chips button { display: flex; gap: 5px; max-width: 100%; }
.chips .end { max-width: 180px; } .chips button.on { background: #0b6b4f; color: #fff; }
.scale { height: 12px; border-radius: 3px; }
.ends { display: flex; justify-content: space-between; font: 12px system-ui; }
i { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px; }
.query img { max-width: 160px; max-height: 160px; display: block; margin: 4px 0 10px; outline: 3px solid #e42536; }
p { margin: 4px 0; font: 13px/1.4 system-ui; overflow-wrap: anywhere; }
"""


class Page:
    """Builds a document for each browser that opens the page."""

    def __init__(
        self,
        embedded: Vectors,
        originals: Album | None,
        atlas: Atlas,
        *,
        takes_pictures: bool,
        takes_texts: bool,
    ) -> None:
        """Prepare what all documents share; without an encoder the page takes no new pictures, nor texts."""
        self.atlas, self.takes_pictures, self.takes_texts = atlas, takes_pictures, takes_texts
        self.has_pictures = originals is not None
        self.encoder = files.printable(embedded.about.encoder)
        self.selection = Selection(embedded, originals)
        self.title = f"{self.encoder}: {len(embedded.names):,} images"
        self.names = [files.printable(name) for name in embedded.names]
        self.labels = atlas.labels

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
        paint = self.atlas.first()
        points = models.ColumnDataSource({"code": paint.codes} | charts.positions(self.atlas.maps))
        document.js_on_event(DocumentReady, models.CustomJS(args={"points": points}, code=LOAD))
        new = models.ColumnDataSource({"x": [], "y": [], "x1": [], "y1": []}, name="query")
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
        legend = _div(paint.legend, name="legend")
        legend.tags = [] if self.atlas.is_quick else list(self.atlas.kinds)[:1]  # what the page asks for
        parts = (_div(self._head()), *self._queries(), legend, _div("", name="neighbours"), saves, selected)
        side = models.Column(*parts, width=430, height_policy="max", styles={"overflow-y": "auto"})
        plots = charts.draw(self.atlas.maps, points, new, paint, has_pictures=self.has_pictures)
        for plot in plots:
            hover = models.HoverTool(tooltips=TOOLTIP, renderers=plot.renderers[:1], limit=1)
            callback = models.CustomJS(code=TAP)
            tap = models.TapTool(renderers=plot.renderers[:1], behavior="inspect", callback=callback)
            plot.add_tools(hover, tap)
        document.add_root(models.Row(*plots, side, sizing_mode="stretch_both", name="page", spacing=16))
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
        click = "Click a point or an image to see it and its nearest neighbours; with shift, to select it too."
        return f"<p><b>{text}</b></p><p>{click}</p><p>{hint}</p>"

    def _queries(self) -> list[models.Div]:
        fields = [CHOOSE] * self.takes_pictures + [f"<p>{ASK}</p>"] * self.takes_texts
        return [_div("".join([*fields, f"<p>{FIND}</p>", self._colours()]))]

    def _colours(self) -> str:
        """Write the field that chooses what the map is coloured by."""
        kinds = [f'<option value="{html.escape(kind)}">{html.escape(kind)}</option>' for kind in self.atlas.kinds]
        field = f'<select onchange="colours.choose(this.value)">{"".join(kinds)}</select>'
        return f"<p><label>Colour by {field}</label></p>" if kinds else ""

    def _selection(self, rows: list[int]) -> str:
        if not rows:
            return "<p>Lasso points to list their images.</p>"
        more = f", first {MAX_LISTED} shown" if len(rows) > MAX_LISTED else ""
        return f"<p><b>{len(rows):,} selected</b>{more}</p>{grid.render(self.names, rows[:MAX_LISTED])}"


def _div(text: str, name: str | None = None) -> models.Div:
    stylesheets = [models.InlineStyleSheet(css=STYLE)]
    styles = {"flex": "none"}  # never lower than its text, which would lie over what is below
    return models.Div(text=text, name=name, sizing_mode="stretch_width", stylesheets=stylesheets, styles=styles)
