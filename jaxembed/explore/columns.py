"""Columns of a CSV about the pictures, by which the map can be coloured."""

import csv
from collections.abc import Sequence
from pathlib import Path

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import naming


def read(file: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Read a CSV whose first row names its columns, and whose first column names pictures.

    Args:
      file: the CSV, in UTF-8.
      names: the name of each picture. One in the CSV may leave out leading folders that all of them share.

    Returns:
      for each column but the first, the text of each picture, "" for those that are not in the CSV.

    Raises:
      InputError: if the file cannot be read, has no second column, a column without a name or one twice, a row of
        another length, a picture twice, or no picture of the map.
    """
    try:
        with files.regular(file).open(encoding="utf-8-sig", newline="") as stream:
            head, *rows = [row for row in csv.reader(stream, strict=True) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as a CSV: {files.line(str(error))}") from error
    titles = [files.printable(title.strip()) for title in head]
    if len(titles) < 2 or not all(titles[1:]) or len(set(titles)) < len(titles):
        got = ", ".join(titles) or "nothing"
        raise InputError(f"{file} must begin with a row of different names, name,COLUMN,…; got {got}")
    values: dict[str, list[str]] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(titles):
            raise InputError(f"{file} must have {len(titles)} values in each row; row {number} has {len(row)}")
        if row[0] in values:
            raise InputError(f"{file} must have each picture once; {files.printable(row[0])} is there twice")
        values[row[0]] = row[1:]
    skipped = sum(len(part.rstrip("/")) + 1 for part in naming.shared(names))
    found = [values.get(name, values.get(name[skipped:])) for name in names]
    if not any(found):
        first = next(iter(values), "")
        got = f"it has {files.printable(first)}, the map {files.printable(names[0])}" if first else "it has no rows"
        raise InputError(f"{file} must name pictures of the map in its first column: {got}")
    print(f"{file}: {sum(each is not None for each in found):,} of {len(names):,} pictures have a row")
    return {
        title: [each[place].strip() if each else "" for each in found] for place, title in enumerate(titles[1:])
    }
