"""The figure of a diagnosis: the first images of each table of the doctor."""

from matplotlib.figure import Figure

from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.figures import names, plots, style


def draw(found: Diagnosis, title: str, *, rows: int) -> Figure | None:
    """Draw the first images of each table of the doctor, in `rows` rows; nothing if there are none."""
    tables = {name: table for name, table in found.tables.items() if table.images is not None}
    if not tables:
        return None
    across = 10
    shown = [table.images[: rows * across] for table in tables.values()]
    heights = [-(-len(images) // across) * (images.shape[1] + 0.5) for images in shown]
    figure, axes = style.figure(6.2, 0.62 * sum(heights) + 0.6 * len(tables), len(tables), height_ratios=heights)
    for [axis], name, images in zip(axes, tables, shown, strict=True):
        captions = [_caption(found, name, row) for row in range(len(images))]
        plots.captioned(axis, images, captions, across=across)
        axis.set_title(f"{diagnosis.KINDS[name].title}: the first {len(images)}")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _caption(found: Diagnosis, name: str, row: int) -> str:
    """Describe a row of a table of the doctor in a few short lines: names, and the label and a better one."""
    table = found.tables[name]
    lines = [names.drawn(str(image), 15) for image in table.names[row]]
    if table.proposed is not None:
        given, fits = (diagnosis.class_of(found, each[row]) for each in (table.labels[:, 0], table.proposed))
        lines += [f"{names.drawn(given, 14)} →", f"{names.drawn(fits, 12)}?"]
    return "\n".join(lines)
