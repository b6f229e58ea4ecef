"""Vectors from elsewhere: which array or column holds the embeddings, the names and the labels."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import tables
from jaxembed.embed.arrays import Stored
from jaxembed.embed.tables import Table

VECTORS, TEXTS, WHOLE, OTHER = "vectors", "texts", "whole numbers", "something else"
# Files of names next to one of vectors, those with its name first; and their bytes.
_BESIDE, _LARGEST = (("{}.txt", "{}_names.txt", "{}.names.txt"), ("names.txt", "filenames.txt", "paths.txt")), 2**28
# Arrays or columns that a message lists.
_SHOWN = 20


class Columns(NamedTuple):
    """The arrays or columns that the user names; the empty text for what names and types are to show."""

    embeddings: str = ""
    names: str = ""
    labels: str = ""


ANY = Columns()


class Kind(NamedTuple):
    """What an array or a column holds: VECTORS, TEXTS, WHOLE or OTHER; in how many rows; in its file's words."""

    kind: str
    rows: int
    text: str


class Role(NamedTuple):
    """What is looked for.

    Attributes:
      name: its name, also that of its option.
      kinds: the kinds that it can be.
      words: what it is called, those that go first in the first group.
      is_named: whether it has one of these names, or else can be the only one of its kind.
    """

    name: str
    kinds: tuple[str, ...]
    words: tuple[frozenset[str], ...]
    is_named: bool


def _plain(name: str) -> str:
    """Return the letters and digits of a name, without case and a plural s."""
    return re.sub(r"[^a-z0-9]", "", name.casefold()).removesuffix("s")


def _words(text: str) -> frozenset[str]:
    return frozenset(map(_plain, text.split()))


EMBEDDINGS = Role(
    "embeddings",
    (VECTORS,),
    (_words("embedding feature vector emb feat x image_embedding image_feature image_emb img_emb latent"),),
    is_named=False,
)
NAMES = Role(
    "names",
    (TEXTS,),
    (
        _words("name path file filename filepath image_name image_path image_file img_name img_path uri url"),
        _words("id image_id img_id sample_id key uid uuid"),
    ),
    is_named=False,
)
LABELS = Role(
    "labels",
    (TEXTS, WHOLE),
    (_words("label class class_name class_label label_name category target y ground_truth ground_truth_label"),),
    is_named=True,
)


def read(file: Path, found: Table | Mapping[str, Stored], columns: Columns) -> dict[str, Any]:
    """Read embeddings, names and labels, and print which they are.

    Names that the file does not have are those of a text file next to it, one per line, else the rows' numbers.

    Args:
      file: the file.
      found: its columns, or its arrays.
      columns: those that the user names.

    Returns:
      `embeddings` [n, d], `names` and `labels`, lists of texts.

    Raises:
      InputError: if there are none, or several that it can be.
      Exception: nearly any other, if the file is damaged.
    """
    kinds = dict(_of_table(found) if isinstance(found, Table) else _of_arrays(found))
    embeddings = _chosen(file, kinds, EMBEDDINGS, columns.embeddings)
    if embeddings is None:
        raise InputError(f"{file} has no embeddings, float [n, d]; it has {_listed(kinds)}")
    n = kinds[embeddings].rows
    labels = _chosen(file, kinds, LABELS, columns.labels)
    lines = files.expanded(columns.names) if columns.names and columns.names not in kinds else None
    names = None
    if lines is None or not lines.is_file():
        others = {name: kind for name, kind in kinds.items() if name != labels and not _is_called(name, LABELS)}
        names = _chosen(file, kinds if columns.names else others, NAMES, columns.names, rows=n)
        lines = None if names else _beside(file)
    content = {
        "embeddings": found.vectors(embeddings) if isinstance(found, Table) else found[embeddings].mapped(),
        "names": _texts(found, names) if names else _lines(lines, n) if lines else [str(row) for row in range(n)],
        "labels": _texts(found, labels, blank=True) if labels else [""] * n,
    }
    parts = {"embeddings": embeddings, "names": names or lines or "row numbers", "labels": labels or "none"}
    told = ", ".join(f"{part}: {files.printable(which)}" for part, which in parts.items())
    print(f"{files.printable(file)}: {told}")
    return content


def _of_arrays(found: Mapping[str, Stored]) -> Iterator[tuple[str, Kind]]:
    """Say what arrays hold; what cannot be read, such as objects, may be one that is not needed."""
    for name, stored in found.items():
        try:
            header = stored.header
        except ValueError as error:
            yield name, Kind(OTHER, 0, str(error))
            continue
        kinds = {(2, "f"): VECTORS, (1, "U"): TEXTS, (1, "i"): WHOLE, (1, "u"): WHOLE, (1, "b"): WHOLE}
        kind = kinds.get((len(header.shape), header.dtype.kind), OTHER)
        yield name, Kind(kind, (*header.shape, 0)[0], f"{header.dtype} {list(header.shape)}")


def _of_table(table: Table) -> Iterator[tuple[str, Kind]]:
    """Say what columns hold."""
    for name, column in table.kinds.items():
        kind = TEXTS if tables.is_texts(column) else WHOLE if tables.is_whole(column) else OTHER
        yield name, Kind(VECTORS if tables.is_vectors(column) else kind, table.metadata.num_rows, str(column))


def _chosen(file: Path, kinds: Mapping[str, Kind], role: Role, asked: str, rows: int | None = None) -> str | None:
    """Choose the array or column that has a role; None if there is none.

    Args:
      file: the file, for errors.
      kinds: the arrays or columns.
      role: the role.
      asked: the one that the user names; empty if none.
      rows: how many rows one must have that is called otherwise; None for any.
    """
    if asked:
        if asked not in kinds:
            raise InputError(f"{file} has no {asked}, as --{role.name} says; it has {_listed(kinds)}")
        if kinds[asked].kind not in role.kinds:
            raise InputError(f"{file}: {asked} cannot be the {role.name}: {kinds[asked].text}")
        return asked
    able = [name for name, kind in kinds.items() if kind.kind in role.kinds]
    among = [[name for name in able if _plain(name) in words] for words in role.words]
    if not role.is_named:
        among.append([name for name in able if rows in (None, kinds[name].rows)])
    chosen = next(filter(None, among), [])
    if len(chosen) > 1:
        listed = ", ".join(files.printable(name) for name in chosen[:_SHOWN])
        raise InputError(f"{file} has several that may be the {role.name}: {listed}; choose by --{role.name}=NAME")
    called = [name for name in kinds if _plain(name) in role.words[0]]
    if called and not chosen and not role.is_named:
        raise InputError(f"{file}: {called[0]} cannot be the {role.name}: {kinds[called[0]].text}")
    return chosen[0] if chosen else None


def _is_called(name: str, role: Role) -> bool:
    return any(_plain(name) in words for words in role.words)


def _listed(kinds: Mapping[str, Kind]) -> str:
    shown = ", ".join(f"{files.printable(name)} ({kind.text})" for name, kind in [*kinds.items()][:_SHOWN])
    return f"{shown} and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else shown or "nothing"


def _texts(found: Table | Mapping[str, Stored], name: str, *, blank: bool = False) -> list[str]:
    """Read texts, or whole numbers as texts; where they may be `blank`, a null is an empty text."""
    if isinstance(found, Table):
        return found.texts(name, blank=blank)
    stored = found[name]
    return stored.texts() if stored.header.dtype.kind == "U" else list(map(str, stored.read().tolist()))


def _beside(file: Path) -> Path | None:
    """Find the text file of names next to a file; None if there is none, InputError if there are several."""
    for patterns in _BESIDE:
        there = [path for each in patterns if (path := file.with_name(each.format(file.stem))).is_file()]
        if len(there) > 1:
            listed = ", ".join(files.printable(path) for path in there)
            raise InputError(f"{file} has several files of names next to it: {listed}; choose by --names=FILE")
        if there:
            return there[0]
    return None


def _lines(file: Path, count: int) -> list[str]:
    """Read as many names, one per line, as there are rows."""
    if (size := file.stat().st_size) > _LARGEST:
        raise InputError(f"{file} must have at most {_LARGEST:,} bytes of names, got {size:,}")
    try:
        lines = files.regular(file).read_bytes().decode("utf-8-sig").split("\n")
    except ValueError as error:
        raise InputError(f"{file} must be text in UTF-8: {error}") from error
    lines = [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
    if len(lines) != count or not all(lines):
        got = f"{len(lines):,} lines" if all(lines) else f"an empty line {lines.index('') + 1:,}"
        raise InputError(f"{file} must have a name on each of {count:,} lines, one for each row, got {got}")
    return lines
