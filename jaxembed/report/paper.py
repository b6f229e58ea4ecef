"""The paper: report.pdf, with what was done, the results, and how to reproduce them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jaxembed.artifacts import finished
from jaxembed.artifacts.finished import Finished
from jaxembed.figures import drawings, gallery, names
from jaxembed.report import conclusions, methods, suspects, tables, transfer
from jaxembed.report.comparison import Picture
from jaxembed.report.experiments import Experiment, apart, differing, options_of, splits
from jaxembed.report.typeset import MONO, Story, markup

FILE = "report.pdf"
EVALUATION = (
    "After training, the encoder is frozen and all images are embedded. Three classifiers learn from the "
    "embeddings of the train split only: a majority vote of the k nearest train images, with no training; a linear "
    "classifier; and one with hidden layers (MLP). The last two, the probes, get standardised embeddings and are "
    "trained by AdamW, with a learning rate that falls to 0 as half a cosine, from the same initial weights for "
    "every seed of a run. Retrieval and geometry are measured on the embeddings of the {split} split. Without "
    "labels, only what needs none is measured."
)
# Columns of a name in a sentence, and in a heading, which has two.
COLUMNS, HEADING = 80, 48
# Measures that a table has room for, and the columns of a label above it.
ACROSS, LABEL = 11, 30
# Datasets that a sentence names.
NAMED = 6
# Figures that can be read at half the page's width, in an order in which two of equal height are neighbours.
HALF = ("embeddings", "confusion", "neighbours", "reconstructions", "views", "distances")


def write(
    datasets: Mapping[str, Sequence[Experiment]], pictures: Mapping[str, Sequence[Picture]], folder: Path
) -> Path:
    """Write the paper into the folder, and return its file; the same input makes the same bytes."""
    story = Story(f"Image embeddings compared on {_listed(datasets)}")
    _summary(story, datasets)
    _method(story, datasets)
    _results(story, datasets, pictures)
    _details(story, datasets)
    _reproduction(story, [each for group in datasets.values() for each in group])
    story.write(folder / FILE)
    return folder / FILE


def _summary(story: Story, datasets: Mapping[str, Sequence[Experiment]]) -> None:
    experiments, controls = apart(each for group in datasets.values() for each in group)
    runs = [run for each in experiments for run in each.runs]
    facts = (
        f"{_count(experiments, 'experiment')}, {_count(runs, 'run')}",
        *_unique(run.record["device"] for run in runs),
        *_unique(f"{name} {run.record['versions'].get(name, '–')}" for name in ("jaxembed", "jax") for run in runs),
    )
    story.text(" · ".join(map(markup, facts)))
    story.contents()
    story.heading("Summary")
    ways = ", ".join(_unique(run.record["objective"] for run in runs))
    story.text(
        f"An encoder turns an image into a vector, its embedding. Here {_count(experiments, 'experiment')} trained "
        f"one on {markup(_listed(datasets))}, with these objectives: {markup(ways)}. Each encoder was then frozen "
        f"and evaluated on the {splits(experiments)} split: by how its embeddings are spread and, where there are "
        "labels, by classifiers that see only the embeddings, by retrieval, and by the geometry of the classes. A "
        "number is the mean over the seeds of an experiment, ± their standard deviation "
        "where there are several."
    )
    if controls:
        story.text(
            f"{_count(controls, 'control')}, measured in the same way, say what an embedding has to beat: "
            f"{markup(names.listed(_unique(each.name for each in controls), NAMED))}."
        )
    for dataset, group in datasets.items():
        nothing = f"{names.written(group[0].title, COLUMNS)} is the only experiment: nothing is compared."
        found = conclusions.sentences(dataset, group) or [nothing]
        story.text(f"<b>{markup(dataset, COLUMNS)}.</b> {markup(' '.join(found))}")


def _method(story: Story, datasets: Mapping[str, Sequence[Experiment]]) -> None:
    story.heading("Method")
    story.heading("Experiments", 1)
    head = ["experiment", "objective", "encoder", "device", "parameters of the encoder", "of the head"]
    head += ["epochs", "batch size", "seconds", "seeds"]
    for dataset, group in datasets.items():
        story.table(f"The experiments on {markup(dataset, COLUMNS)}.", head, map(_trained, group), texts=4)
    trained = [run for group in datasets.values() for each in group for run in each.runs[:1] if run.is_trained]
    if trained:
        story.heading("Ways of learning", 1)
    for objective in _unique(run.record["objective"] for run in trained):
        story.text(f"<b>{markup(objective, COLUMNS)}.</b> {markup(methods.describe(objective))}")
    controls = [each.runs[0].record["encoder"] for group in datasets.values() for each in apart(group)[1]]
    if controls:
        story.heading("Controls", 1)
    for control in _unique(controls):
        story.text(f"<b>{markup(control, COLUMNS)}.</b> {markup(methods.describe(control, room='controls'))}")
    story.heading("Evaluation", 1)
    story.text(EVALUATION.format(split=splits(each for group in datasets.values() for each in group)))
    head = ["dataset", "experiments", "k", "distance", "views", "linear probe", "MLP probe"]
    caption = (
        "How the embeddings are evaluated: the number k of nearest neighbours and their distance; the augmented "
        "views of each train image that the probes learn from, in addition to the image itself; and the probes."
    )
    story.table(caption, head, _evaluated(datasets), texts=7)


def _trained(experiment: Experiment) -> list[str]:
    """Describe how an experiment was trained: a row of the table of experiments."""
    records = [run.record for run in experiment.runs]
    if not experiment.runs[0].is_trained:
        made = experiment.runs[0].trained_on
        how = "made elsewhere" if made is None else f"trained on {made}"
        how = "control" if experiment.is_control else how
        return [*map(markup, (experiment.name, how, records[0]["encoder"])), *["–"] * 7]
    cells = (
        experiment.name,
        records[0]["objective"],
        records[0]["encoder"],
        "; ".join(_unique(record["device"] for record in records)),
        f"{records[0]['parameters']['encoder']:,}",
        f"{records[0]['parameters'].get('head', 0):,}",
        str(records[0]["epochs"]),
        str(experiment.runs[0].config["train"]["batch_size"]),
        f"{sum(record['train_seconds'] for record in records) / len(records):,.1f}{finished.together(records[0])}",
        ", ".join(str(record["seed"]) for record in records),
    )
    return list(map(markup, cells))


def _evaluated(datasets: Mapping[str, Sequence[Experiment]]) -> list[list[str]]:
    """Describe how experiments were evaluated: a row for all those on a dataset with the same settings."""
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for dataset, group in datasets.items():
        for each in group:
            options = each.runs[0].config["evaluate"]
            probes = (_named_values(options[name]) for name in ("linear", "mlp"))
            views = options["views"]
            seen = f"{views}: {_augmentation(options['augmentation'])}" if views else "none"
            alike[dataset, str(options["neighbours"]), options["distance"], seen, *probes].append(each.name)
    rows = ((dataset, ", ".join(each), *settings) for (dataset, *settings), each in alike.items())
    return [list(map(markup, row)) for row in rows]


def _named_values(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in options.items())


def _augmentation(options: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{operation} ({_named_values(knobs)})" for operation, knobs in options.items())


def _results(
    story: Story, datasets: Mapping[str, Sequence[Experiment]], pictures: Mapping[str, Sequence[Picture]]
) -> None:
    story.heading("Results")
    for dataset, experiments in datasets.items():
        story.heading(dataset, 1)
        for table in tables.make(experiments):
            caption = (
                f"{table.caption} on the {splits(experiments)} split of {markup(dataset, COLUMNS)}. ↑: more is "
                "better, ↓: less is better; columns without an arrow must not be used to compare experiments. "
                "Bold: the best in a column."
            )
            # As few tables as there can be, of nearly the same width.
            columns = len(table.columns)
            size = -(-columns // -(-columns // ACROSS))
            for start in range(0, columns, size):
                part = slice(start, start + size)
                head = ["experiment", *(markup(tables.head(column), LABEL) for column in table.columns[part])]
                rows = [_measured(row, part) for row in table.rows]
                if table.controls:
                    rows.append([f"<i>{tables.CONTROLS}</i>", *[""] * (len(head) - 1)])
                    rows += [_measured(row, part) for row in table.controls]
                story.table(caption, head, rows, texts=1)
        for picture in pictures[dataset]:
            story.figure(picture)
        for group in suspects.listed(experiments):
            caption = (
                f"{group.title} of {markup(dataset, COLUMNS)}: what most of the embeddings find most suspicious."
            )
            rows = [
                [markup(", ".join(each.names)), markup(each.verdict or each.labels[0]), markup(each.by)]
                for each in group.suspects
            ]
            story.table(caption, ["images", "labels", "found by"], rows, texts=3)
    for matrix in transfer.matrices(datasets):
        caption = (
            f"{matrix.caption} of encoders on datasets that they were not trained on, next to their own. "
            "Classifiers learn from the train images of the dataset that is measured."
        )
        head = ["experiment", "trained on", *(markup(f"on {name}", LABEL) for name in matrix.columns)]
        rows = [[markup(name, COLUMNS), markup(on, COLUMNS), *cells] for name, on, cells in matrix.rows]
        story.table(caption, head, rows, texts=2)


def _measured(row: tables.Row, part: slice) -> list[str]:
    experiment, cells = row
    return [markup(experiment.name, COLUMNS), *(_number(*cell) for cell in cells[part])]


def _number(text: str, best: bool) -> str:
    """Write the deviation below the mean, so that the page is wide enough for all columns."""
    mean, _, deviation = text.partition(" ± ")
    return (f"<b>{mean}</b>" if best else mean) + (f"<br/>±\N{NO-BREAK SPACE}{deviation}" if deviation else "")


def _details(story: Story, datasets: Mapping[str, Sequence[Experiment]]) -> None:
    story.heading("Experiments one by one")
    for dataset, group in datasets.items():
        different = differing(options_of(each.runs[0]) for each in group)
        for experiment in group:
            run, name = experiment.runs[0], names.written(_named(experiment)[0], COLUMNS)
            title = (names.written(experiment.title, HEADING), names.written(dataset, HEADING))
            story.heading(" on ".join(title), 1)
            for pictures in _drawn(run, name):
                story.figure(*pictures)
            caption = f"The config of {markup(name)}. Bold: different between experiments on the dataset."
            story.table(caption, ["option", "value"] * 2, _options(options_of(run), different), texts=4)


def _drawn(run: Finished, title: str) -> list[list[Picture]]:
    """Arrange the figures that a run has, row by row."""
    files = gallery.whole(run).items()
    drawn = {name: Picture(file, title, drawings.FIGURES[name].caption) for name, file in files}
    whole = [[picture] for name, picture in drawn.items() if name not in HALF]
    half = [drawn[name] for name in HALF if name in drawn]
    return whole + [half[start : start + 2] for start in range(0, len(half), 2)]


def _options(options: Mapping[str, Any], different: Sequence[str]) -> list[list[str]]:
    """Arrange options as names and values in two columns, to be read downwards."""
    pairs = []
    for key, value in options.items():
        cells = [markup(key.removeprefix("config.")), markup(str(value))]
        pairs.append([f"<b>{cell}</b>" for cell in cells] if key in different else cells)
    half = -(-len(pairs) // 2)
    return [left + right for left, right in zip_longest(pairs[:half], pairs[half:], fillvalue=["", ""])]


def _reproduction(story: Story, experiments: Sequence[Experiment]) -> None:
    runs = [run for each in experiments for run in each.runs]
    story.heading("How to reproduce")
    story.heading("Commands", 1)
    titles = [name for each in experiments for name in _named(each)]
    commands = [markup(run.record["command"], font=MONO) for run in runs]
    rows = zip(map(markup, titles), commands, strict=True)
    caption = "The command of each run: it trains an encoder, evaluates it and draws its figures."
    story.table(caption, ["run", "command"], rows, texts=2)
    story.heading("Versions", 1)
    packages = _unique(package for run in runs for package in run.record["versions"])
    versions = (", ".join(_unique(run.record["versions"].get(name, "–") for run in runs)) for name in packages)
    rows = [list(map(markup, pair)) for pair in zip(packages, versions, strict=True)]
    story.table("The packages that the runs used.", ["package", "version"], rows, texts=2)
    story.heading("Measures", 1)
    rows = [[markup(tables.head(column)), markup(column.meaning)] for column in tables.shown(experiments)]
    story.table("What the measures mean.", ["measure", "meaning"], rows, texts=2)


def _named(experiment: Experiment) -> list[str]:
    """Name the runs of an experiment, distinct from those of all others."""
    return [f"{experiment.name}, seed {run.record['seed']}" for run in experiment.runs]


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _listed(datasets: Iterable[str]) -> str:
    *most, last = (names.written(each, COLUMNS) for each in datasets)
    if len(most) > NAMED:
        return names.listed([*most, last], NAMED)
    return f"{', '.join(most)} and {last}" if most else last


def _count(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
