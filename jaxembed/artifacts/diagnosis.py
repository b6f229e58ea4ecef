"""diagnosis.npz: what a doctor found suspicious in a run's dataset, as ranked tables, and as CSV files."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from jaxembed.core import files, npz
from jaxembed.core.errors import InputError

FILE = "diagnosis.npz"
# In a run's folder, where its tables are as CSV files, <table>.csv.
FOLDER = "doctor"
# Rows of a table, at most.
ROWS = 1000
# The first column of a CSV file.
RANK = "rank"
# What a spreadsheet takes for the start of a formula, also in wide letters; and what marks a text there.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


class Kind(NamedTuple):
    """A kind of table: its title, how many images a row has, and its scores."""

    title: str
    images: int
    scores: tuple[str, ...]


# The correlation of the pixels, 1 for a copy; the distance of the embeddings (`space.NAMES`), and relative to that
# of the next neighbours, 0 for a copy.
PAIR = ("likeness", "distance", "relative")
# In the order of a report.
KINDS = {
    "leaks": Kind("Near-duplicates in two splits", 2, PAIR),
    "duplicates": Kind("Near-duplicates in the same split", 2, PAIR),
    # The mean of the next two; the probability of the label under a classifier that was not trained on the image;
    # the share of the nearest images that have it.
    "labels": Kind("Suspicious labels", 1, ("support", "confidence", "agreement")),
    # The mean distance to the nearest images.
    "outliers": Kind("Outliers", 1, ("remoteness",)),
}


class Table(NamedTuple):
    """What is suspicious, the most suspicious first: m rows of one or two images.

    Attributes:
      names: [m, i] of the images.
      labels: [m, i] -1 where there are none.
      scores: the scores by name, [m]; NaN where there is none.
      images: [q, i, h, w, c] of the first q rows; none if there are no images.
      proposed: [m] classes that fit better, or None.
    """

    names: Shaped[np.ndarray, "m i"]
    labels: Int[np.ndarray, "m i"]
    scores: Mapping[str, Float[np.ndarray, " m"]]
    images: UInt8[np.ndarray, "q i h w c"] | None
    proposed: Int[np.ndarray, " m"] | None = None


class Diagnosis(NamedTuple):
    """The tables of a dataset.

    Attributes:
      classes: [k] names; none without labels.
      examined: how many images were examined, and of how many.
      tables: the tables by name, a key of KINDS; those that have any row.
      known: the share of the labels that a classifier which was not trained on the image proposes as well; NaN if
        labels were not examined, or by an earlier version.
    """

    classes: Shaped[np.ndarray, " k"]
    examined: tuple[int, int]
    tables: Mapping[str, Table]
    known: float = math.nan


def write(diagnosis: Diagnosis, folder: Path) -> None:
    """Write the diagnosis into a run's folder, and its tables as CSV files into FOLDER."""
    arrays = {"classes": diagnosis.classes, "examined": np.array(diagnosis.examined, np.int64)}
    arrays["known"] = np.array(diagnosis.known, np.float32)
    for name, table in diagnosis.tables.items():
        scores = {f"scores/{score}": values for score, values in table.scores.items()}
        fields = table._asdict() | scores
        fields.pop("scores")
        arrays |= {f"{name}/{field}": array for field, array in fields.items() if array is not None}
    with files.replacing(folder / FILE) as partial:
        np.savez_compressed(partial, **arrays)
    write_csv(diagnosis, folder / FOLDER)


def files_of(folder: Path) -> list[Path]:
    """List the files that a diagnosis may have in a run's folder."""
    return [folder / FILE, *csv_files(folder / FOLDER)]


def write_csv(diagnosis: Diagnosis, folder: Path, groups: Mapping[str, int] | None = None) -> list[Path]:
    """Write each table as a CSV file into a folder, in place of the tables that are there; return the files.

    Args:
      diagnosis: the tables.
      folder: the folder.
      groups: the number of the group of copies that an image is in; None if there are no groups.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        file: as_csv(diagnosis, name, groups)
        for name, file in zip(KINDS, csv_files(folder), strict=True)
        if name in diagnosis.tables
    }
    for file in filter(_is_table, csv_files(folder)):
        file.unlink()
    for file, text in texts.items():
        files.write_text(file, text)
    return list(texts)


def csv_files(folder: Path) -> list[Path]:
    """List the files that tables have in a folder, in the order of KINDS."""
    return [folder / f"{name}.csv" for name in KINDS]


def read(folder: Path) -> Diagnosis | None:
    """Read the diagnosis in a run's folder; None if there is none, as in the folder of an earlier version.

    Raises:
      InputError: if it is damaged.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        arrays = npz.read(file)
        npz.require(arrays, classes=("str", (None,)), examined=("int64", (2,)))
        tables = {name: _table(arrays, name) for name in KINDS if f"{name}/names" in arrays}
        examined, total = arrays["examined"].tolist()
        if "known" in arrays:
            npz.require(arrays, known=("float32", ()))
        return Diagnosis(arrays["classes"], (examined, total), tables, float(arrays.get("known", math.nan)))
    except Exception as error:  # a damaged zip file raises nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{file} is damaged ({files.printable(reason)}); launch.py --evaluate writes it"
        ) from error


def as_csv(diagnosis: Diagnosis, name: str, groups: Mapping[str, int] | None = None) -> str:
    """Write a table as CSV (RFC 4180): rank, image and label of each image, proposed label, scores.

    With groups of copies, that of a pair comes last; it is empty if its images are not in the same one. There is an
    apostrophe before a text that a spreadsheet could take for a formula, or that begins with one.
    """
    table, text = diagnosis.tables[name], io.StringIO()
    writer = csv.writer(text)
    labelled, parts = bool(len(diagnosis.classes)), [""] if table.names.shape[1] == 1 else ["first_", "second_"]
    head = [f"{part}{column}" for part in parts for column in (("image", "label") if labelled else ("image",))]
    grouped = ["group"] if groups is not None and table.names.shape[1] == 2 else []
    writer.writerow([RANK, *head, *(["proposed"] if table.proposed is not None else []), *table.scores, *grouped])
    for row in range(len(table.names)):
        cells: list[str] = []
        for image, label in zip(table.names[row], table.labels[row], strict=True):
            cells += [str(image), *([class_of(diagnosis, label)] if labelled else [])]
        cells += [] if table.proposed is None else [class_of(diagnosis, table.proposed[row])]
        scores = ("" if np.isnan(values[row]) else f"{values[row]:.6g}" for values in table.scores.values())
        group = [_group(table.names[row].tolist(), groups)] if grouped else []
        writer.writerow([row + 1, *map(cell, cells), *scores, *group])
    return text.getvalue()


def class_of(diagnosis: Diagnosis, label: int | np.integer) -> str:
    """Name a class; nothing for an image without a label."""
    return str(diagnosis.classes[label]) if label >= 0 else ""


def _group(names: Sequence[str], groups: Mapping[str, int]) -> int | str:
    numbers = {groups.get(name) for name in names}
    return "" if len(numbers) > 1 or None in numbers else numbers.pop()


def _is_table(file: Path) -> bool:
    """Return whether a file is a table of an earlier examination, rather than somebody's own."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(RANK) + 1) == f"{RANK},".encode()


def cell(text: str) -> str:
    """Write a text for a cell of a CSV file: after an apostrophe if a spreadsheet could take it for a formula."""
    return files.utf8(f"'{text}" if text.startswith(FORMULA) else text)


def of_cell(text: str) -> str:
    """Read a text as `cell` writes it, or as somebody writes it who knows of no apostrophe."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _table(arrays: Mapping[str, np.ndarray], name: str) -> Table:
    """Take a table out of the arrays of a file; ValueError unless it is one."""
    kind, classes = KINDS[name], len(arrays["classes"])
    own = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
    m, i = len(own["names"]), kind.images
    wanted = {f"scores/{score}": ("float32", (m,)) for score in kind.scores}
    wanted |= {"proposed": ("int64", (m,))} if "proposed" in own else {}
    npz.require(own, names=("str", (m, i)), labels=("int64", (m, i)), **wanted)
    images = own.get("images")
    if images is not None and (
        images.dtype != np.uint8 or images.ndim != 5 or images.shape[1] != i or not 0 < len(images) <= m
    ):
        raise ValueError(f"{name}/images must be uint8 of shape [1 to {m}, {i}, h, w, c], got {list(images.shape)}")
    if images is not None:
        npz.require_pictures(f"{name}/images", images)
    proposed = own.get("proposed")
    for labels, least in ((own["labels"], -1), (proposed, 0)):
        if labels is not None and labels.size and not least <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name} has labels beyond the {classes} classes")
    return Table(own["names"], own["labels"], {s: own[f"scores/{s}"] for s in kind.scores}, images, proposed)
