"""The text for a repository: report.md, with the comparisons as separate pictures."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from jaxembed.core import files
from jaxembed.figures import names
from jaxembed.report import conclusions, suspects, tables, transfer
from jaxembed.report.comparison import Picture
from jaxembed.report.experiments import Experiment, splits
from jaxembed.report.suspects import Group
from jaxembed.report.tables import Table

FILE = "report.md"


def write(
    datasets: Mapping[str, Sequence[Experiment]], pictures: Mapping[str, Sequence[Picture]], folder: Path
) -> Path:
    """Write the text into the folder, and return its file."""
    file = folder / FILE
    files.write_text(file, "\n".join(_lines(datasets, pictures)) + "\n")
    return file


def _lines(
    datasets: Mapping[str, Sequence[Experiment]], pictures: Mapping[str, Sequence[Picture]]
) -> Iterator[str]:
    yield "# Which way of learning gave the better embedding?"
    split = splits(one for experiments in datasets.values() for one in experiments)
    yield f"\nFrozen encoders, evaluated on the {split} split, each with the distance that its config uses for"
    yield "nearest neighbours. Mean ± standard deviation over seeds; the best in each column is bold."
    for dataset, experiments in datasets.items():
        yield f"\n## {_escape(dataset)}\n"
        yield from (f"- {_escape(sentence)}" for sentence in conclusions.sentences(dataset, experiments))
        for table in tables.make(experiments):
            yield ""
            yield from _table(table)
        for picture in pictures[dataset]:
            yield f"\n![{_escape(picture.title)}]({picture.file.name})\n\n*{_escape(picture.title)}.* {picture.how}"
        if groups := suspects.listed(experiments):
            yield from ("\n### Suspicious images", "\nWhat most of the embeddings find suspicious in the dataset.")
            for group in groups:
                yield ""
                yield from _suspects(group)
    if matrices := transfer.matrices(datasets):
        yield "\n## Transfer\n\nEncoders measured on datasets that they were not trained on, next to their own."
        for matrix in matrices:
            yield ""
            yield _row([_escape(matrix.caption), "trained on", *(_escape(f"on {name}") for name in matrix.columns)])
            yield _row(["---", "---", *["---:"] * len(matrix.columns)])
            yield from (_row([_escape(name), _escape(on), *cells]) for name, on, cells in matrix.rows)
    yield "\n## The commands\n"
    runs = [run for each in datasets.values() for one in each for run in one.runs]
    commands = "\n".join(names.written(run.record["command"]) for run in runs)
    fence = max(("`" * 3, *(f"{ticks}`" for ticks in re.findall("`+", commands))), key=len)
    yield f"{fence}bash\n{commands}\n{fence}\n\n## The measures\n"
    everything = [one for experiments in datasets.values() for one in experiments]
    yield from (f"- **{_escape(tables.head(column))}**: {column.meaning}" for column in tables.shown(everything))


def _table(table: Table) -> Iterator[str]:
    yield _row(["experiment", "seeds", *(_escape(tables.head(column)) for column in table.columns)])
    yield _row(["---", *["---:"] * (len(table.columns) + 1)])
    yield from map(_experiment, table.rows)
    if table.controls:
        yield _row([f"*{tables.CONTROLS}*", *[""] * (len(table.columns) + 1)])
        yield from map(_experiment, table.controls)


def _experiment(row: tables.Row) -> str:
    experiment, cells = row
    values = (f"**{text}**" if best else text for text, best in cells)
    return _row([_escape(experiment.name), str(len(experiment.runs)), *values])


def _suspects(group: Group) -> Iterator[str]:
    yield _row([group.title, "labels", "found by"])
    yield _row(["---", "---", "---"])
    for each in group.suspects:
        yield _row([_escape(", ".join(each.names)), _escape(each.verdict or each.labels[0]), each.by])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Escape what Markdown would take for markup in a name."""
    text = re.sub(r"[\\`*|<>\[\]#&~$!]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", names.written(text).strip())
    # At the start of a line, a list, a quotation or a heading.
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)
