"""The page: report.html, a single file that works offline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from jaxembed import pictures
from jaxembed.artifacts import finished
from jaxembed.artifacts.finished import Finished
from jaxembed.core import files
from jaxembed.figures import drawings, gallery, names, style
from jaxembed.report import comparison, conclusions, curves, interactive, suspects, tables, transfer
from jaxembed.report.comparison import Picture
from jaxembed.report.experiments import Experiment, apart, differing, options_of, splits

FILE = "report.html"
# Of a WebP: the text in a figure stays sharp, at a third of the PNG's size.
QUALITY = 80


class Row(NamedTuple):
    """An option in which experiments differ: its name; for each experiment, its value and whether it is unusual."""

    name: str
    values: list[tuple[str, bool]]


def write(
    datasets: Mapping[str, Sequence[Experiment]], compared: Mapping[str, Sequence[Picture]], folder: Path
) -> Path:
    """Write the page into the folder, and return its file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jaxembed.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
    )
    views, lines = {}, {}
    for number, (dataset, experiments) in enumerate(datasets.items()):
        layout = interactive.view([(each.title, each.runs[0]) for each in experiments])
        views[dataset] = interactive.embed(layout, f"view{number}")
        if layout := curves.view(experiments):
            lines[dataset] = interactive.embed(layout, f"curves{number}")
    everything = [each for experiments in datasets.values() for each in experiments]
    ways, controls = apart(everything)
    file = folder / FILE
    page = environment.get_template("page.html").render(
        datasets=datasets,
        experiments=len(ways),
        controls=len(controls),
        group=tables.CONTROLS,
        split=splits(everything),
        runs=sum(len(each.runs) for each in ways),
        pictures=compared,
        suspects={dataset: suspects.listed(experiments) for dataset, experiments in datasets.items()},
        transfer=transfer.matrices(datasets),
        thumbnail=interactive.data_uri,
        tables={dataset: tables.make(experiments) for dataset, experiments in datasets.items()},
        measures=tables.shown(everything),
        head=tables.head,
        sentences={dataset: conclusions.sentences(dataset, each) for dataset, each in datasets.items()},
        options={dataset: options(experiments) for dataset, experiments in datasets.items()},
        captions={name: drawing.caption for name, drawing in drawings.FIGURES.items()},
        drawn=gallery.whole,
        image=image,
        listed=names.listed,
        short=names.written,
        facts=facts,
        text=options_of,
        interactive=views,
        curves=lines,
        curves_kind=comparison.CURVES.name,
        coloured=(comparison.EMBEDDINGS.name, *drawings.COLOURED),
        scripts=interactive.resources(),
    )
    files.write_text(file, page)
    return file


def facts(run: Finished) -> list[str]:
    """List what a reader wants to know about a run first."""
    record = run.record
    if run.is_control:
        return [record["dataset"], f"control: {record['encoder']}", f"measured on {record['device']}"]
    if not run.is_trained:
        made = "embedding made elsewhere" if run.trained_on is None else f"encoder trained on {run.trained_on}"
        return [record["dataset"], made, f"measured on {record['device']}"]
    parameters = ", ".join(f"{part} {count:,}" for part, count in record["parameters"].items())
    return [
        f"{record['dataset']} × {record['encoder']} × {record['objective']}",
        f"parameters: {parameters}",
        f"{record['epochs']} epochs, {record['steps']:,} steps",
        f"{record['train_seconds']:,.0f} s{finished.together(record)} on {record['device']}",
    ]


def options(experiments: Sequence[Experiment]) -> list[Row]:
    """List the options in which experiments differ; a value is unusual if it is not the most common one."""
    flat = [options_of(experiment.runs[0]) for experiment in experiments]
    rows = []
    for key in differing(flat):
        values = [str(options.get(key, "–")) for options in flat]
        (usual, times), *_ = Counter(values).most_common(1)
        rows.append(Row(key.removeprefix("config."), [(value, times > 1 and value != usual) for value in values]))
    return rows


def image(file: Path) -> Markup:
    """Write a figure's file as the attributes of an `img`: its data URI, and the size at which it is shown."""
    with pictures.opened(file) as picture:
        width, height = style.size(picture)
        uri = pictures.as_uri(picture.convert("RGB"), quality=QUALITY)
    return Markup('src="{}" width="{}" height="{}"').format(uri, width, height)


def shown(value: Any) -> Any:
    """Write a text that is not markup on one line, as it is: no control character or lone surrogate of a name."""
    return names.written(value) if type(value) is str and not value.isprintable() else value
