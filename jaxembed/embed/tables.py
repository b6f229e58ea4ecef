"""Tables that anybody may have made: the columns of a .parquet, checked as they are read."""

import base64
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxembed.core import npz

if TYPE_CHECKING:
    import pyarrow

# The key of `about` in the metadata of what jaxembed.embed writes.
ABOUT = b"jaxembed"
# A part of what is written there.
_WRITTEN = re.compile(rb'"sha256": "[0-9a-f]{64}", "distance": "')
# Rows that are read at a time, and bytes of all texts of a column.
_CHUNK, _TEXTS = 8192, 2**28


class Table:
    """The columns of a table that anybody may have made, each read when it is asked for.

    Its methods raise nearly any exception if the file is damaged.

    Attributes:
      about: what jaxembed.embed says of its origin; None if it has not written the table.
      kinds: each column's type, by name.
    """

    def __init__(self, file: Path) -> None:
        """Read what the file says of its columns; ValueError if it contradicts itself."""
        from pyarrow import parquet

        self.file, self.metadata = file, parquet.read_metadata(file)
        there = parquet.read_schema(file)
        stated = self.metadata.metadata or {}
        _check_schema(stated, there)
        about = stated.get(ABOUT)
        if about is None and _WRITTEN.search(_footer(file)):  # what says that keys follow is damaged
            raise ValueError(f"it has no {ABOUT.decode()} in its metadata")
        self.about = None if about is None else about.decode()
        if len(names := there.names) > len(set(names)):
            raise ValueError(f"each column must have its own name, got {', '.join(names)}")
        self.kinds = {name: there.field(name).type for name in names}

    def vectors(self, name: str) -> Float[np.ndarray, "n d"]:
        """Read lists of float with one length as float32; ValueError if there is a null."""
        parts, width = [np.zeros((0, 0), np.float32)], None
        stated = self.metadata.num_rows * getattr(self.kinds[name], "list_size", 0)
        npz.refuse_bomb(name, 4 * stated, self.file.stat().st_size)
        for column in self._batches(name, dictionary=False):
            _refuse_nulls(name, column)
            flat, lengths = column.flatten(), _lengths(column)
            _refuse_nulls(name, flat)
            width = lengths[0] if width is None else width
            if len(others := np.flatnonzero(lengths != width)):
                row = sum(map(len, parts)) + others[0]
                raise ValueError(
                    f"{name} must be lists of one length, got {width} numbers in row 0, {lengths[others[0]]} in "
                    f"row {row:,}"
                )
            with np.errstate(over="ignore"):
                parts.append(flat.to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(column), width))
        self._check_count(name, sum(map(len, parts)))
        return np.concatenate(parts[1:] or parts)

    def texts(self, name: str, *, blank: bool = False) -> list[str]:
        """Read texts, or numbers as texts; ValueError for a null, unless it may be `blank`, an empty text."""
        read: list[str] = []
        for column in self._batches(name, dictionary=True):
            texts = _as_texts(column)
            if not blank:
                _refuse_nulls(name, texts)
                _refuse_nulls(name, texts.dictionary)
            known = [text or "" for text in texts.dictionary.to_pylist()]
            read += ["" if index is None else known[index] for index in texts.indices.to_pylist()]
        self._check_count(name, len(read))
        return read

    def numbers(self, name: str) -> Float[np.ndarray, " n"]:
        """Read numbers; ValueError if there is a null."""
        parts = [np.zeros(0, np.float32)]
        for column in self._batches(name, dictionary=False):
            _refuse_nulls(name, column)
            parts.append(column.to_numpy(zero_copy_only=False))
        self._check_count(name, sum(map(len, parts)))
        return np.concatenate(parts)

    def _batches(self, name: str, *, dictionary: bool) -> Iterator[Any]:
        """Read a column, some rows at a time, checked; with `dictionary`, texts are in memory once."""
        from pyarrow import parquet

        paths = (f"{self.metadata.schema.column(leaf).path}." for leaf in range(self.metadata.num_columns))
        leaves = [leaf for leaf, path in enumerate(paths) if path.startswith(f"{name}.")]
        options = {"read_dictionary": [name] if dictionary else None, "page_checksum_verification": True}
        values = size = 0
        with parquet.ParquetFile(self.file, pre_buffer=False, **options) as opened:
            for group in range(self.metadata.num_row_groups):
                # First a row, by which Arrow checks what the file says of this part: else it would abort below.
                if next(opened.iter_batches(1, row_groups=[group], columns=[name]), None) is None:
                    continue
                parts = [self.metadata.row_group(group).column(leaf) for leaf in leaves]
                values += sum(part.num_values for part in parts)
                size += sum(part.total_uncompressed_size for part in parts)
                if dictionary and size > _TEXTS:
                    raise ValueError(f"{name} must take at most {_TEXTS:,} bytes, got {size:,}")
                npz.refuse_bomb(name, 4 * values, self.file.stat().st_size)
                for batch in opened.iter_batches(_CHUNK, row_groups=[group], columns=[name]):
                    batch.validate(full=True)
                    yield batch.column(name)

    def _check_count(self, name: str, count: int) -> None:
        if count != self.metadata.num_rows:
            raise ValueError(f"{name} has {count:,} of {self.metadata.num_rows:,} rows")


def is_vectors(kind: "pyarrow.DataType") -> bool:
    """Return whether a column has lists of float."""
    from pyarrow import types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(each(kind) for each in lists) and types.is_floating(kind.value_type)


def is_whole(kind: "pyarrow.DataType") -> bool:
    """Return whether a column has whole numbers, or true and false, perhaps as a dictionary."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_integer(kind) or types.is_boolean(kind)


def is_texts(kind: "pyarrow.DataType") -> bool:
    """Return whether a column has texts, perhaps as a dictionary."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return str(kind) in ("string", "large_string", "string_view")


def _check_schema(metadata: Mapping[bytes, bytes], there: "pyarrow.Schema") -> None:
    """Raise a ValueError if the columns are not called as Arrow stored as well, or the origin is not in both: a bit
    of a name has flipped.
    """
    import pyarrow

    if stored := metadata.get(b"ARROW:schema"):
        wanted = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(stored)))
        if there.names != wanted.names:
            raise ValueError(f"its columns must be {', '.join(wanted.names)}, got {', '.join(there.names)}")
        if (ABOUT in (wanted.metadata or {})) != (ABOUT in metadata):
            raise ValueError(f"it has no {ABOUT.decode()} in its metadata")


def _as_texts(column: Any) -> Any:
    """Convert a column to a dictionary of texts, in which one that is repeated a million times is held once."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type) and is_texts(column.type):
        return column.cast(pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
    plain = column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
    return plain.cast(pyarrow.string()).dictionary_encode()


def _footer(file: Path) -> bytes:
    """Read the bytes that describe a table, whose length is before the last four."""
    with file.open("rb") as stream:
        stream.seek(-8, io.SEEK_END)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-8 - length, io.SEEK_END)
        return stream.read(length)


def _lengths(column: Any) -> np.ndarray:
    """Return the lengths of the lists in a column."""
    from pyarrow import types

    if types.is_fixed_size_list(column.type):
        return np.full(len(column), column.type.list_size)
    return column.value_lengths().to_numpy(zero_copy_only=False)


def _refuse_nulls(name: str, column: Any) -> None:
    if column.null_count:
        raise ValueError(f"{name} has {column.null_count} nulls in {len(column)} rows")
