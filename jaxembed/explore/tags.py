"""Tags that people give to pictures: a CSV file of names and tags, which others may write as well."""

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxembed.artifacts import diagnosis
from jaxembed.core import files, locks
from jaxembed.core.errors import InputError

# In place of the suffix of the vectors; the columns of the file.
SUFFIX, COLUMNS = ".tags.csv", ["name", "tag"]
# Characters of a tag, and bytes of a file.
LONGEST, LARGEST = 60, 2**28
_OTHER = "use a different --tags=FILE"

# (name, tag) in the order of the file; a dict, because that is an ordered set.
Pairs = dict[tuple[str, str], None]


class Tags:
    """The tags of the pictures that are shown.

    The file is read anew before each change, in turn with other servers, so that what others have written to it
    stays, as do the tags of pictures that are not shown.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        """Store the file, which may not exist yet, and the names of the rows."""
        self.file, self.keys = file, [files.utf8(name) for name in names]
        self._rows: dict[str, list[int]] = {}
        for row, key in enumerate(self.keys):
            self._rows.setdefault(key, []).append(row)

    def shown(self, text: str = "") -> dict[str, Any]:
        """Return what the page shows: a line of text, and (tag, rows) of each, or why these cannot be read."""
        try:
            return {"text": text, "tags": list(self.rows().items())}
        except InputError as error:
            return {"text": files.line(str(error)), "tags": []}

    def change(self, rows: Sequence[int], change: str, tag: str) -> dict[str, Any]:
        """Add a tag to rows, or remove it, and return what the page then shows."""
        try:
            changed = self.add(tag, rows) if change == "add" else self.remove(tag, rows)
        except InputError as error:
            return self.shown(files.line(str(error)))
        did = f"given to {changed:,}" if change == "add" else f"taken from {changed:,}"
        return self.shown(f"{tag}: {did} of {len(rows):,} pictures")

    def rows(self) -> dict[str, list[int]]:
        """Read the file: each tag, in alphabetical order, with the rows of its pictures.

        Raises:
          InputError: if it does not hold tags.
        """
        found: dict[str, list[int]] = {}
        for name, tag in read(self.file):
            if name in self._rows:
                found.setdefault(tag, []).extend(self._rows[name])
        return {tag: sorted(found[tag]) for tag in sorted(found, key=str.casefold)}

    def add(self, tag: str, rows: Sequence[int]) -> int:
        """Give a tag to the pictures of some rows, and return how many did not have it.

        Raises:
          InputError: if the tag cannot be one, or the file does not hold tags or cannot be written.
        """
        check(tag)
        with _changing(self.file) as pairs:
            new = {pair: None for pair in self._pairs(tag, rows) if pair not in pairs}
            pairs.update(new)
        return len(new)

    def remove(self, tag: str, rows: Sequence[int]) -> int:
        """Take a tag from the pictures of some rows, and return how many had it; an InputError as in `add`."""
        with _changing(self.file) as pairs:
            gone = [pair for pair in self._pairs(tag, rows) if pair in pairs]
            for pair in gone:
                del pairs[pair]
        return len(gone)

    def _pairs(self, tag: str, rows: Sequence[int]) -> Pairs:
        return {(self.keys[row], tag): None for row in rows}


def check(tag: str) -> None:
    """Raise an InputError unless a text can be a tag."""
    if not tag or tag != tag.strip() or not tag.isprintable() or len(tag) > LONGEST:
        shown = files.line(repr(tag))
        raise InputError(f"a tag must be one line of at most {LONGEST} characters, got {shown}")


def read(file: Path) -> Pairs:
    """Read names and tags; none if there is no file.

    Raises:
      InputError: if it is no table of names and tags; the file stays as it is.
    """
    if not file.exists():
        return {}
    try:
        if files.regular(file).stat().st_size > LARGEST:
            raise ValueError(f"it must have at most {LARGEST >> 20} MiB")
        with file.open(encoding="utf-8-sig", newline="") as stream:  # a spreadsheet may begin it with a mark
            return _parsed(csv.reader(stream, strict=True))
    except (ValueError, csv.Error, InputError) as error:
        raise InputError(f"{file} does not hold tags: {error}; correct it, or {_OTHER}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; {_OTHER}") from error


def _parsed(lines: Iterator[list[str]]) -> Pairs:
    """Make the pairs of a file's lines; ValueError or InputError if these are others than `_text` writes."""
    if (first := next(lines, COLUMNS)) != COLUMNS:
        raise ValueError(f"the first line must be {','.join(COLUMNS)}, got {files.line(','.join(first))}")
    pairs: Pairs = {}
    for number, cells in enumerate(lines, 2):
        if not cells:  # an empty line
            continue
        if len(cells) != len(COLUMNS) or not all(cells):
            raise ValueError(f"entry {number} must be a name and a tag, got {files.line(','.join(cells))}")
        name, tag = map(diagnosis.of_cell, cells)
        check(tag)
        pairs[name, tag] = None
    return pairs


@contextlib.contextmanager
def _changing(file: Path) -> Iterator[Pairs]:
    """Read the pairs of a file, to be changed and then written by this context; servers take turns."""
    try:
        with locks.alone(Path(os.path.realpath(file)).parent):
            pairs = read(file)
            before = len(pairs)
            yield pairs
            if len(pairs) != before:
                files.write_text(file, _text(pairs))
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}; {_OTHER}") from error


def _text(pairs: Pairs) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *(map(diagnosis.cell, pair) for pair in pairs)])
    return text.getvalue()
