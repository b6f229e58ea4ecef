"""Tables of embeddings as .parquet, for tools such as embedding-atlas: what Arrow reads and writes."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxembed.core import files, npz

if TYPE_CHECKING:
    import pyarrow

# The key of `about` in the table's metadata.
ABOUT = b"jaxembed"
# Rows that are read at a time, and bytes of all names or labels.
_CHUNK, _TEXTS = 8192, 2**28


def schema(about: str, *, dimension: int, is_folder: bool, labelled: bool, measure: str) -> "pyarrow.Schema":
    """Make a table's schema: `name`, `path` of a folder's picture, `label`, `embedding`, `x`, `y`, `neighbors`.

    The metadata of `neighbors` has the measure, what distance its distances are.
    """
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float32()
    near = pyarrow.struct({"ids": pyarrow.list_(pyarrow.int32()), "distances": pyarrow.list_(number)})
    fields = {"name": text} | ({"path": text} if is_folder else {}) | ({"label": text} if labelled else {})
    fields |= {"embedding": pyarrow.list_(number, dimension), "x": number, "y": number}
    nearest = pyarrow.field("neighbors", near, metadata={"distances": measure})
    return pyarrow.schema([*fields.items(), nearest], metadata={ABOUT: about})


def write(file: Path, chosen: "pyarrow.Schema", chunks: Iterator[Mapping[str, Any]]) -> None:
    """Write a table atomically, from chunks of its columns; embeddings are [n, d] float32."""
    import pyarrow
    from pyarrow import parquet

    with files.replacing(file) as stream, parquet.ParquetWriter(stream, chosen, write_page_checksum=True) as writer:
        for chunk in chunks:
            embeddings = pyarrow.FixedSizeListArray.from_arrays(
                chunk["embedding"].ravel(), chunk["embedding"].shape[1]
            )
            columns = dict(chunk) | {"embedding": embeddings}
            writer.write(pyarrow.table({name: columns[name] for name in chosen.names}, schema=chosen))


def read(file: Path) -> dict[str, Any]:
    """Read the columns that embeddings have in a table.

    Returns:
      `about`, a text; `names` and `labels`, lists of texts; `embeddings` [n, d]; `positions` [n, 2].

    Raises:
      Exception: nearly any, if the file is damaged; ValueError if a column is missing, has another type or a null.
    """
    import pyarrow
    from pyarrow import parquet, types

    there = parquet.read_schema(file)
    _check_names(parquet.read_metadata(file).metadata or {}, there.names, pyarrow)
    if ABOUT not in (there.metadata or {}):
        raise ValueError(f"it has no {ABOUT.decode()} in its metadata")
    read_as_text = ["name", "label"] if "label" in there.names else ["name"]
    columns: dict[str, list[Any]] = {name: [] for name in (*read_as_text, "embedding", "x", "y")}
    for name in columns:
        if there.names.count(name) != 1:
            raise ValueError(f"it must have one column {name}, got {there.names.count(name)}")
    # Texts as dictionaries, so that one that is repeated a million times is in memory once.
    options = {"read_dictionary": read_as_text, "page_checksum_verification": True}
    with parquet.ParquetFile(file, **options) as opened:
        kind = there.field("embedding").type
        if not types.is_fixed_size_list(kind) or not types.is_floating(kind.value_type):
            raise ValueError(f"embedding must be lists of float with one length, got {kind}")
        npz.refuse_bomb("embedding", opened.metadata.num_rows * kind.list_size * 4, file.stat().st_size)
        for name in read_as_text:
            _refuse_long(name, opened.metadata)
        for batch in opened.iter_batches(_CHUNK, columns=[*columns]):
            batch.validate(full=True)
            for name, parts in columns.items():
                parts.append(_values(name, batch.column(name), pyarrow))
    if (n := sum(map(len, columns["embedding"]))) != opened.metadata.num_rows:
        raise ValueError(f"it has {n:,} of its {opened.metadata.num_rows:,} rows")
    texts = {name: [text for part in columns[name] for text in part] for name in read_as_text}
    embeddings = np.concatenate([np.zeros((0, kind.list_size), np.float32), *columns["embedding"]])
    positions = np.stack([np.concatenate([np.zeros(0), *columns[axis]]) for axis in ("x", "y")], axis=1)
    return {
        "about": there.metadata[ABOUT].decode(),
        "names": texts["name"],
        "labels": texts.get("label", [""] * len(texts["name"])),
        "embeddings": embeddings,
        "positions": positions,
    }


def _refuse_long(name: str, metadata: Any) -> None:
    """Raise a ValueError for a column of texts that takes more memory than names can."""
    column = metadata.schema.names.index(name)
    groups = (metadata.row_group(number).column(column) for number in range(metadata.num_row_groups))
    if (size := sum(group.total_uncompressed_size for group in groups)) > _TEXTS:
        raise ValueError(f"{name} must take at most {_TEXTS:,} bytes, got {size:,}")


def _check_names(metadata: Mapping[bytes, bytes], names: Sequence[str], pyarrow: Any) -> None:
    """Raise a ValueError if the columns are not called as Arrow stored as well: a bit of a name has flipped."""
    if stored := metadata.get(b"ARROW:schema"):
        wanted = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(stored))).names
        if list(names) != wanted:
            raise ValueError(f"its columns must be {', '.join(wanted)}, got {', '.join(names)}")


def _values(name: str, column: Any, pyarrow: Any) -> list[str] | np.ndarray:
    """Take a column's values out of a batch; ValueError for a null, or another type than the column's."""
    if column.null_count:
        raise ValueError(f"{name} has {column.null_count} nulls in {len(column)} rows")
    if name in ("name", "label"):
        kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
        if kind != column.type and kind == pyarrow.string() and not column.dictionary.null_count:
            known = column.dictionary.to_pylist()
            return [known[index] for index in column.indices.to_pylist()]
        raise ValueError(f"{name} must be text, got {kind}")
    flat = column.flatten() if name == "embedding" else column
    if flat.null_count or not pyarrow.types.is_floating(flat.type):
        raise ValueError(f"{name} must be numbers without nulls, got {flat.type}, {flat.null_count} nulls")
    numbers = flat.to_numpy(zero_copy_only=False)
    return numbers.reshape(len(column), column.type.list_size) if name == "embedding" else numbers
