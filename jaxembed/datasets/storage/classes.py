"""Classes: what config.data.classes makes of a folder's pictures: its sub-folders, none, or those of a table."""

import csv
import re
from collections.abc import Mapping

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import omitted
from jaxembed.datasets.storage.layout import Layout

# Sub-folders are the classes unless all of them look like dates or exports; or in any case; or there are none.
AUTO, FOLDERS, NONE = "auto", "folders", "none"
_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?[0-3]\d)?)?")
# As cameras number their folders (DCF: three digits and five letters), and as telephones and services name theirs.
_CAMERA = re.compile(r"\d{3}[a-z0-9_]{5}")
_EXPORTS = frozenset((
    *("camera", "camera roll", "camera uploads", "dcim", "download", "downloads", "pictures"),
    *("google photos", "icloud photos", "instagram", "photos", "recents", "screenshots", "snapchat", "telegram"),
    "whatsapp images",
))  # fmt: skip
_SUFFIX, _HEAD = ".csv", ("name", "class")
_LARGEST = 2**28


def choose(decided: Layout, classes: str, *, what: str) -> Layout:
    """Return how a folder's pictures are divided, with the classes that an option asks for.

    Args:
      decided: the layout, with its sub-folders as classes.
      classes: AUTO, FOLDERS, NONE, or a .csv with the columns `name` (a picture's path in the folder) and `class`.
      what: the option's name in an error.

    Raises:
      InputError: if it is none of them, or the table has no class for a picture.
    """
    if classes == FOLDERS:
        return decided
    if classes == NONE:
        return _without(decided, "no classes, as config.data.classes says")
    if classes == AUTO:
        if not decided.classes or not all(map(is_export, decided.classes)):
            return decided
        like = omitted.listed(decided.classes)
        hint = "config.data.classes=folders makes them classes"
        return _without(decided, f"no classes: {like} are dates or exports, not classes ({hint})")
    if not classes.lower().endswith(_SUFFIX):
        raise InputError(f"{what} must be {AUTO}, {FOLDERS}, {NONE} or a {_SUFFIX} file, got {classes!r}")
    return _by_table(decided, _read(classes, what), what=f"{what} {classes}")


def is_export(folder: str) -> bool:
    """Return whether a folder is called like a date, or as a camera, a telephone or a service calls it."""
    name = folder.casefold().strip()
    return bool(_DATE.fullmatch(name) or _CAMERA.fullmatch(name)) or name in _EXPORTS


def _without(decided: Layout, remark: str) -> Layout:
    return decided._replace(classes=(), labels=[-1] * len(decided.names), remarks=[remark])


def _by_table(decided: Layout, table: Mapping[str, str], *, what: str) -> Layout:
    if missing := [name for name in decided.names if name not in table]:
        raise InputError(f"{what} has no class for {len(missing):,} pictures: {omitted.listed(missing)}")
    classes = sorted({table[name] for name in decided.names})
    labels = [classes.index(table[name]) for name in decided.names]
    remark = f"classes: {len(classes):,} of the table ({omitted.listed(classes)})"
    if gone := len(table.keys() - set(decided.names)):
        remark += f", which has {gone:,} more names"
    return decided._replace(classes=tuple(classes), labels=labels, remarks=[remark])


def _read(file: str, what: str) -> dict[str, str]:
    """Read the table: name -> class."""
    path = files.regular(files.expanded(file))
    if not path.exists():
        raise InputError(f"{what} {file}: there is no such file")
    if path.stat().st_size > _LARGEST:
        raise InputError(f"{what} {file} must have at most {_LARGEST:,} bytes")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what} {file} cannot be read as CSV in UTF-8: {files.line(str(error))}") from error
    if not rows or not all(row.get(column) for row in rows for column in _HEAD):
        raise InputError(f"{what} {file} must have a value of each of the columns {', '.join(_HEAD)} in each row")
    table = {row["name"]: files.printable(row["class"]) for row in rows}
    if len(table) < len(rows):
        raise InputError(f"{what} {file} must name each picture once; {len(rows) - len(table):,} names come again")
    return table
