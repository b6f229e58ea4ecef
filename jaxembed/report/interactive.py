"""Interactive: the embeddings of a dataset's runs side by side, to be explored in a browser, offline."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.colors
import numpy as np
from bokeh import models
from bokeh.embed import json_item
from bokeh.plotting import figure
from bokeh.resources import Resources
from bokeh.transform import linear_cmap
from jaxtyping import Int, UInt8
from PIL import Image

from jaxembed import pictures
from jaxembed.artifacts.finished import Finished
from jaxembed.artifacts.samples import Sample
from jaxembed.figures import names, plots, style

# Points of a run that are drawn: more make the page slow, and hide each other.
LIMIT = 1000
# Classes that have a button each, and the columns of its text: more buttons than this are no overview.
BUTTONS, COLUMNS = 100, 32
# Pixels of a plot's side at least, and of the only one at most; columns of a class's name in a plot.
SIDE, LARGEST, INSIDE = 420, 900, 18
# Pixels of a plot as most screens show it, and of a line of its title.
WIDE, LINE = 600, 18
# Marks what has the colour of the page's text, and what has the page's own around it.
INK = "ink"
WRONG = matplotlib.colors.to_hex(style.WRONG)

# `value` is the column's value: a class, or a row of the source.
LOOK_UP = """
const labels = source.data.label, own = labels[special_vars.index]
switch (format) {
  case "class": return classes[value]
  case "colour": return colours[value]
  case "verdict": return value == own ? "" : "✗ wrong"
  case "image": return source.data.image[value]
  case "frame": return labels[value] == own ? "transparent" : wrong
}
"""
HIDE = """
shows.indices = cb_obj.active.flatMap((label) => of_class[label])
named.indices = cb_obj.active
"""
LEGEND = """
.bk-btn-group { display: flex; flex-wrap: wrap; gap: 6px; }
.bk-btn-group > .bk-btn { flex: none; padding: 3px 12px 3px 9px; border: 1px solid var(--line, #dcdcdc);
  border-radius: 99px !important; background: var(--paper, white); color: var(--ink, #222);
  font-size: 13px; box-shadow: none; }
.bk-btn-group > .bk-btn:hover { background: var(--soft, #f3f3f3); }
.bk-btn-group > .bk-btn:not(.bk-active) { opacity: 0.45; text-decoration: line-through; }
.bk-btn::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 7px;
  border-radius: 50%; background: var(--class); }
"""
PIXELS = "image-rendering: pixelated; object-fit: contain; display: block"
NOTES = """<b>{counts} sampled {split} images</b>, coloured by class; dark outline: kNN is wrong. {apart}<br>
<b>Point</b> at an image to see it, its kNN prediction, and its nearest neighbours in the embedding (not in the
picture) from the whole sample, in a red frame if in a different class; the other plots mark the image.<br>
{hide} <b>Select</b> images by a click, or a box (in the corner of each plot), to
highlight them in all plots; Esc clears it. The wheel zooms, dragging moves, reset restores the view."""
HIDING = "<b>Click</b> a class above to hide it in all plots."
MANY = "The {classes:,} classes are too many for a button each."
UNLABELLED = """<b>{counts} sampled {split} images</b>, without labels. {apart}<br>
<b>Point</b> at an image to see it and its nearest neighbours in the embedding, from the whole sample; the other
plots mark the image.<br>
<b>Select</b> images by a click, or a box (in the corner of each plot), to highlight them in all plots; Esc clears
it. The wheel zooms, dragging moves, reset restores the view."""


def view(runs: Sequence[tuple[str, Finished]]) -> models.Column:
    """Arrange the embeddings of a dataset's runs: a legend of the classes, a scatter plot each, and instructions.

    Args:
      runs: (name, run), at least one; all have the same classes. Those whose samples hold the same images are
        linked: they share the images, the selection and the pointer.
    """
    classes = [names.written(name) for name in runs[0][1].sample.classes.tolist()]
    # Without classes, one colour.
    colours = [matplotlib.colors.to_hex(colour) for colour in style.colours(max(1, len(classes)))]
    buttons = legend(classes, colours) if 0 < len(classes) <= BUTTONS else None
    groups: dict[tuple, list[tuple[str, Sample]]] = defaultdict(list)
    for name, run in runs:
        shown = run.sample.images
        same = (run.sample.rows, np.zeros(0) if shown is None else shown, labels_of(run.sample))
        groups[tuple((array.shape, array.tobytes()) for array in same)].append((name, run.sample))
    drawn = []
    for group in groups.values():
        source, shown = source_of([sample for _, sample in group]), labels_of(group[0][1])[:LIMIT]
        shows, named = models.IndexFilter(list(range(len(shown)))), models.IndexFilter(list(range(len(classes))))
        if buttons:
            of_class = [np.flatnonzero(shown == label).tolist() for label in range(len(classes))]
            hides = {"shows": shows, "named": named, "of_class": of_class}
            buttons.js_on_change("active", models.CustomJS(args=hides, code=HIDE))
        args = {"source": source, "classes": classes, "colours": colours, "wrong": WRONG}
        look_up = models.CustomJSHover(args=args, code=LOOK_UP)
        shared = _Shared(source, shows, named, classes, colours, look_up)
        drawn += [_plot(name, run, shared) for run, (name, _) in enumerate(group)]
    # As many as fit, of one size, over the whole width.
    columns = f"repeat(auto-fit, minmax(min({SIDE}px, 100%), {'1fr' if len(drawn) > 1 else f'{LARGEST}px'}))"
    grid = {"display": "grid", "grid-template-columns": columns, "gap": "20px"}
    row = models.Row(*drawn, sizing_mode="stretch_width", styles=grid)
    counts = dict.fromkeys(f"{len(s.rows[:LIMIT]):,} of {len(s.rows):,}" for [(_, s), *_] in groups.values())
    apart = "Not all plots show the same images; those that do are linked." if len(groups) > 1 else ""
    text = NOTES if classes else UNLABELLED
    hide = HIDING if buttons else MANY.format(classes=len(classes))
    text = text.format(counts=" or ".join(counts), apart=apart, split=runs[0][1].split, hide=hide)
    styles = {"color": "var(--faint, #555)", "font-size": "13px", "line-height": "1.55"}
    notes = models.Div(text=text, sizing_mode="stretch_width", margin=0, styles=styles)
    return models.Column(*([buttons] if buttons else []), row, notes, sizing_mode="stretch_width", spacing=12)


def legend(shown: Sequence[str], colours: Sequence[str]) -> models.CheckboxButtonGroup:
    """Make a button for each name, with a dot of its colour."""
    dots = "".join(f".bk-btn:nth-child({i}) {{ --class: {colour}; }}\n" for i, colour in enumerate(colours, 1))
    labels = [names.written(name, COLUMNS) for name in shown]
    buttons = models.CheckboxButtonGroup(labels=labels, active=list(range(len(shown))), margin=0)
    buttons.update(stylesheets=[models.InlineStyleSheet(css=LEGEND + dots)], sizing_mode="stretch_width")
    return buttons


def embed(layout: models.Column, target: str) -> str:
    """Write a layout as HTML: a div with the id `target` that it fills, once the page has the `resources`."""
    # No text in it can end the script.
    item = json.dumps(json_item(layout, target)).replace("<", "\\u003c")
    return f'<div class="layout" id="{target}"></div>\n<script>Bokeh.embed.embed_item({item})</script>'


def resources() -> str:
    """Write what layouts need in the page's head: as much of Bokeh's own scripts as they use, inline."""
    return Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render()


def source_of(samples: Sequence[Sample]) -> models.ColumnDataSource:
    """Combine samples of the same n images: each image once, and its position and neighbours in each run.

    Returns:
      n rows: `label`, `image` (a data URI; empty if it is not shown, as a point or as a neighbour of one), and
      for run r `x<r>`, `y<r>` in [-1, 1], `predicted<r>`, `wrong<r>` (1 or 0) and `near<r>_<i>`, the row of the
      i-th nearest other.
    """
    labels = labels_of(samples[0])
    columns = {"label": labels}
    if samples[0].images is not None:
        used = set(range(len(labels))[:LIMIT]).union(*(sample.nearest[:LIMIT].flat for sample in samples))
        columns["image"] = [data_uri(image) if row in used else "" for row, image in enumerate(samples[0].images)]
    for run, sample in enumerate(samples):
        low, high = sample.points[:LIMIT].min(axis=0), sample.points[:LIMIT].max(axis=0)
        # One scale for both axes; points that are all equal have none.
        x, y = ((sample.points - (low + high) / 2) / ((high - low).max() / 2 or 1)).T
        predicted = labels if sample.predicted is None else sample.predicted
        wrong = (predicted != labels).astype(np.uint8)
        columns |= {f"x{run}": x, f"y{run}": y, f"predicted{run}": predicted, f"wrong{run}": wrong}
        # The narrowest integers keep the page small.
        nearest = sample.nearest.T.astype(np.min_scalar_type(len(labels)))
        columns |= {f"near{run}_{i}": rows for i, rows in enumerate(nearest)}
    return models.ColumnDataSource(columns)


def labels_of(sample: Sample) -> Int[np.ndarray, " n"]:
    """Return the labels of a sample, or zeros if it has none."""
    return np.zeros(len(sample.rows), int) if sample.labels is None else sample.labels


def data_uri(image: UInt8[np.ndarray, "h w c"]) -> str:
    """Write an image of 1 or 3 channels as the URI of a WebP file."""
    return pictures.as_uri(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), quality=80)


class _Shared(NamedTuple):
    """What linked plots share.

    Attributes:
      source: their images, as `source_of` makes it.
      shows: which of them are shown.
      named: which classes are shown.
      classes: the classes' names; none for images without labels.
      colours: the classes' colours.
      look_up: what turns a number into the name of its class, or the picture with it.
    """

    source: models.ColumnDataSource
    shows: models.IndexFilter
    named: models.IndexFilter
    classes: list[str]
    colours: list[str]
    look_up: models.CustomJSHover


def _plot(name: str, run: int, shared: _Shared) -> figure:
    """Plot the embedding of a run, with what a pointer shows."""
    # Plain, because Bokeh takes a name between dollars for mathematics.
    title = models.PlainText(names.wrapped(names.written(name, 160), 54))
    lines = title.text.count("\n") + 1
    plot = figure(
        title=models.Title(text=title, text_font_size="14px"),
        sizing_mode="stretch_width",
        # The frame is nearly a square, however many lines the title has, at the widths that the grid gives.
        aspect_ratio=WIDE / (WIDE + LINE * lines),
        min_border=0,
        x_range=(-1.06, 1.06),
        y_range=(-1.06, 1.06),
        tools="pan,wheel_zoom,box_select,tap,reset",
        active_scroll="wheel_zoom",
        toolbar_location="below",
        toolbar_inner=True,
        outline_line_color=None,
        background_fill_color="#8a8a8a",
        background_fill_alpha=0.06,
    )
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.update(logo=None, autohide=True)
    points = plot.scatter(
        f"x{run}",
        f"y{run}",
        source=shared.source,
        view=models.CDSView(filter=shared.shows),
        size=7,
        fill_color=linear_cmap("label", shared.colours, low=-0.5, high=len(shared.colours) - 0.5),
        fill_alpha=0.85,
        line_color=style.INK,
        line_width=1.6,
        line_alpha=f"wrong{run}",
        nonselection_fill_alpha=0.12,
        nonselection_line_alpha=0,
        hover_line_width=3,
        hover_line_alpha=1,
    )
    points.hover_glyph.size = 13
    points.glyph.tags = [INK]
    plot.add_tools(_hover(run, shared, points))
    if 0 < len(shared.classes) <= len(style.PALETTE):
        _name_classes(plot, run, shared)
    return plot


def _name_classes(plot: figure, run: int, shared: _Shared) -> None:
    """Write each class's name where it is purest, as the figures do."""
    columns = shared.source.data
    labels = columns["label"][:LIMIT]
    points = np.stack([columns[f"x{run}"], columns[f"y{run}"]], axis=1)[:LIMIT]
    places = np.full((len(shared.classes), 2), np.nan)
    for label in np.unique(labels):
        places[label] = plots.purest(points, labels == label)
    shown = [names.written(name, INSIDE) for name in shared.classes]
    source = models.ColumnDataSource({"x": places[:, 0], "y": places[:, 1], "name": shown})
    text = plot.text(
        "x",
        "y",
        text="name",
        source=source,
        view=models.CDSView(filter=shared.named),
        text_align="center",
        text_baseline="middle",
        text_font_size="13px",
        text_font_style="bold",
        text_color=style.INK,
        background_fill_color="#ffffff",
        background_fill_alpha=0.7,
        border_radius=4,
        padding=2,
    )
    text.glyph.tags = [INK]
    # The text of what is not selected does not fade.
    text.nonselection_glyph = text.selection_glyph = None


def _hover(run: int, shared: _Shared, points: models.GlyphRenderer) -> models.HoverTool:
    """Make what a pointer shows of a point."""
    columns = shared.source.data
    near = [name for name in columns if name.startswith(f"near{run}_")] if "image" in columns else []
    tooltip = _tooltip(run, near, labelled=bool(shared.classes), pictured="image" in columns)
    hover = models.HoverTool(tooltips=tooltip, renderers=[points])
    hover.formatters = {f"@{name}": shared.look_up for name in ("label", f"predicted{run}", *near)}
    # Of points on top of each other, the topmost one.
    hover.update(limit=1, sort_by=[("$index", "descending")])
    return hover


def _tooltip(run: int, near: list[str], *, labelled: bool, pictured: bool) -> str:
    """Write the HTML that a point shows; Bokeh escapes what it puts in."""
    classes = f"""<div style="line-height: 1.6; max-width: 260px; overflow-wrap: anywhere">
<div style="font-size: 15px; font-weight: bold"><span style="color: @label{{colour}}">●</span> @label{{class}}</div>
<div>kNN: @predicted{run}{{class}} <b style="color: {WRONG}">@predicted{run}{{verdict}}</b></div>
</div>"""
    if not pictured:
        text = classes if labelled else "$index"
        return f'<div style="padding: 6px; font-size: 13px; color: {style.INK}">{text}</div>'
    frame = f"width: 42px; height: 42px; {PIXELS}; border: 3px solid"
    others = "".join(f'<img src="@{column}{{image}}" style="{frame} @{column}{{frame}}">' for column in near)
    return f"""<div style="padding: 6px; font-size: 13px; color: {style.INK}">
<div style="display: flex; gap: 12px; align-items: center">
<img src="@image" style="width: 84px; height: 84px; {PIXELS}">
{classes if labelled else ""}</div>
<div style="margin: 10px 0 3px; color: #666">nearest in this embedding</div>
<div style="display: flex; gap: 2px; margin-left: -3px">{others}</div></div>"""
