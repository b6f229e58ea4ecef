"""Learning curves to be explored in a browser: a pointer shows the values, a click on a name hides its lines."""

from collections.abc import Callable, Sequence

import numpy as np
from bokeh import models
from bokeh.plotting import figure

from jaxembed.artifacts.finished import Finished
from jaxembed.figures import drawings, names
from jaxembed.report import comparison, interactive
from jaxembed.report.experiments import Experiment

HEIGHT = 380
# Points of a line at most; one with fewer than this has dots as well.
MOST, DOTTED = 300, 30
# matplotlib's dashes by Bokeh's names.
DASHES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dotdash"}

# A line is named by its experiment's number.
HIDE = "for (const line of lines) line.visible = cb_obj.active.includes(Number(line.name))"


def view(experiments: Sequence[Experiment]) -> models.Column | None:
    """Draw what `comparison.curves` does, or return None where that has nothing to show."""
    experiments = [each for each in experiments if each.runs[0].is_trained]
    both = (
        (drawings.quality, drawings.quality_title(experiments[0].runs[0]) if experiments else "", "epoch", "log"),
        (comparison.relative_loss, "train loss, relative to its first value", "share of training", "linear"),
    )
    plots = [_plot(experiments, *each) for each in both if comparison.has_course(each[0], experiments)]
    if not plots:
        return None
    colours = [comparison.COLOURS[index % len(comparison.COLOURS)] for index in range(len(experiments))]
    legend = interactive.legend([each.title for each in experiments], colours)
    lines = [line for plot in plots for line in plot.renderers]
    legend.js_on_change("active", models.CustomJS(args={"lines": lines}, code=HIDE))
    row = models.Row(*plots, sizing_mode="stretch_width", styles={"gap": "20px"})
    return models.Column(legend, row, sizing_mode="stretch_width", spacing=8)


def _plot(
    experiments: Sequence[Experiment],
    curve: Callable[[Finished], tuple[np.ndarray, np.ndarray]],
    title: str,
    across: str,
    scale: str,
) -> figure:
    """Plot a line for each seed of each experiment."""
    values = np.concatenate([curve(run)[1] for each in experiments for run in each.runs])
    # A loss that is always 0 has no place on a logarithmic scale.
    rises = scale == "log" or not (values > 0).all()
    plot = figure(
        title=title,
        x_axis_label=across,
        x_axis_type=scale,
        y_axis_type="linear" if rises else "log",
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset",
        toolbar_location="above",
        toolbar_inner=True,
        outline_line_color=None,
        background_fill_color=None,
    )
    plot.toolbar.update(logo=None, autohide=True)
    plot.title.update(text_font_size="14px", text_font_style="normal")
    for axis in plot.axis:
        axis.update(axis_label_text_font_style="normal", minor_tick_line_color=None)
        if isinstance(axis, models.LogAxis):  # 0.2, 0.5, 1, 2, 5, 10 rather than powers of ten
            axis.ticker, axis.formatter = models.LogTicker(mantissas=[1, 2, 5]), models.BasicTickFormatter()
    lines = []
    for index, experiment in enumerate(experiments):
        repeated, position = divmod(index, len(comparison.COLOURS))
        dash = DASHES[comparison.DASHES[repeated % len(DASHES)]]
        for run in experiment.runs:
            x, y = _thinned(*curve(run))
            named = names.written(f"{experiment.title}, seed {run.record['seed']}", 80)
            source = models.ColumnDataSource({"x": x, "y": y, "run": [named] * len(x)})
            look = {"color": comparison.COLOURS[position], "line_dash": dash, "line_width": 1.8}
            lines.append(plot.line("x", "y", source=source, name=str(index), **look))
            if len(x) < DOTTED:
                plot.scatter("x", "y", source=source, size=5, color=look["color"], name=str(index))
    told = [("", "@run"), (across, "@x{0.00a}"), ("", "@y{0.000}")]
    plot.add_tools(models.HoverTool(tooltips=told, renderers=lines, line_policy="nearest", mode="mouse"))
    return plot


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take at most `MOST` points of a line, its ends among them."""
    if len(x) <= MOST:
        return x, y
    chosen = np.linspace(0, len(x) - 1, MOST).round().astype(int)
    return x[chosen], y[chosen]
