"""The doctor's page: groups of copies, problem pictures and the tables, with pictures, in one file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jinja2
from PIL import Image

from jaxembed import pictures
from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.diagnosis import KINDS, Diagnosis
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.doctor import summary
from jaxembed.doctor.groups import Member
from jaxembed.doctor.originals import Original

FILE = "doctor.html"
# Pixels of a thumbnail's longer side; rows of a part that have pictures.
SIDE, MOST = 180, 60


class Cell(NamedTuple):
    """A picture on the page: its data URI, "" for none, the lines under it, and whether it is to be kept."""

    picture: str
    lines: Sequence[str]
    kept: bool = False


class Part(NamedTuple):
    """A part of the page: its title, how many rows it has, what they are, and the first of them."""

    title: str
    count: int
    note: str
    groups: Sequence[Sequence[Cell]]


def write(
    found: Diagnosis,
    grouped: Sequence[Sequence[Member]],
    originals: Mapping[str, Original],
    opened: Callable[[str], Image.Image] | None,
    *,
    title: str,
    output: Path,
) -> Path:
    """Write the page.

    Args:
      found: the tables.
      grouped: the groups of copies.
      originals: the files of the pictures; empty if they are not in a folder.
      opened: opens a picture by its name; None if there are none.
      title: what was examined, by what.
      output: the folder.
    """
    parts = [_copies(grouped, opened)] if grouped else []
    parts += [*_problems(originals, opened), *(_table(found, kind, opened) for kind in found.tables)]
    examined, total = found.examined
    lines = " ".join(filter(None, (summary.copies(found, grouped), summary.wrong_labels(found))))
    about = f"{examined:,}{f' of {total:,}' if examined < total else ''} images. {lines}"
    template = jinja2.Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"), autoescape=True)
    text = template.render(title=f"Doctor: {title}", summary=about, parts=parts)
    files.write_text(output / FILE, files.utf8(text))
    return output / FILE


def _copies(grouped: Sequence[Sequence[Member]], opened: Callable[[str], Image.Image] | None) -> Part:
    note = "Saved again in another size, quality or brightness. The outlined picture is the one to keep."
    return Part(
        "Copies", len(grouped), note, [[_member(each, opened) for each in group] for group in grouped[:MOST]]
    )


def _member(member: Member, opened: Callable[[str], Image.Image] | None) -> Cell:
    lines = [files.printable(member.name)]
    if original := member.original:
        lines += [f"{original.width} × {original.height}, {original.size / 1000:,.0f} kB", original.date]
    if member.reason:
        lines.append(f"keep: {member.reason}")
    return Cell(_uri(member.name, opened), lines, bool(member.reason))


def _problems(originals: Mapping[str, Original], opened: Callable[[str], Image.Image] | None) -> Iterator[Part]:
    notes = {
        "blank": "All pixels have nearly the same value.",
        "dark": "Nearly black.",
        "tiny": "Hardly any pixels.",
        "blurred": "No sharp edges: out of focus, moved or enlarged; a drawing or a plain sky may be meant so.",
    }
    for problem, note in notes.items():
        names = [name for name, each in originals.items() if each.problem == problem]
        if names:
            cells = [Cell(_uri(name, opened), [files.printable(name)]) for name in names[:MOST]]
            yield Part(problem.capitalize(), len(names), note, [cells])


def _table(found: Diagnosis, kind: str, opened: Callable[[str], Image.Image] | None) -> Part:
    table, rows = found.tables[kind], []
    for row in range(min(MOST, len(table.names))):
        scores = [
            f"{name} {values[row]:.3g}" for name, values in table.scores.items() if values[row] == values[row]
        ]
        proposed = (
            [] if table.proposed is None else [f"suggested: {diagnosis.class_of(found, table.proposed[row])}"]
        )
        cells = []
        for name, label in zip(table.names[row].tolist(), table.labels[row], strict=True):
            labelled = [diagnosis.class_of(found, label)] if label >= 0 else []
            lines = [files.printable(line) for line in (name, *labelled, *proposed)]
            cells.append(Cell(_uri(name, opened), [*lines, ", ".join(scores)]))
        rows.append(cells)
    note = "The most suspicious first; the rest is in the table of this name (.csv)."
    # Rows of one picture share a line of the page.
    return Part(KINDS[kind].title, len(table.names), note, rows if KINDS[kind].images > 1 else [[*chain(*rows)]])


def _uri(name: str, opened: Callable[[str], Image.Image] | None) -> str:
    if opened is None:
        return ""
    try:
        picture = opened(name)
    except (OSError, ValueError, InputError):
        return ""
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return pictures.as_uri(picture, quality=80)
