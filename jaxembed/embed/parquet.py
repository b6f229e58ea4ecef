"""Tables of embeddings as .parquet, for tools such as embedding-atlas: written, and read as they were written."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxembed.core import files
from jaxembed.embed.tables import ABOUT, Table

if TYPE_CHECKING:
    import pyarrow


def schema(
    about: str, *, dimension: int, is_folder: bool, labelled: bool, pictured: bool, measure: str
) -> "pyarrow.Schema":
    """Make a table's schema: `name`, `path` of a folder's picture, `label`, `embedding`, `x`, `y`, `neighbors`.

    The metadata of `neighbors` has the measure, what distance its distances are. `image`, if there are pictures,
    has the bytes of a small one and its name, as Hugging Face's datasets have them.
    """
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float32()
    near = pyarrow.struct({"ids": pyarrow.list_(pyarrow.int32()), "distances": pyarrow.list_(number)})
    fields = {"name": text} | ({"path": text} if is_folder else {}) | ({"label": text} if labelled else {})
    fields |= {"embedding": pyarrow.list_(number, dimension), "x": number, "y": number}
    picture = pyarrow.struct({"bytes": pyarrow.binary(), "path": text})
    fields |= {"image": picture} if pictured else {}
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


def read(table: Table) -> dict[str, Any]:
    """Read the columns that embeddings have in a table of `write`.

    Returns:
      `names` and `labels`, lists of texts; `embeddings` [n, d]; `positions` [n, 2].

    Raises:
      Exception: nearly any, if the file is damaged; ValueError if a column is missing, has another type or a null.
    """
    from pyarrow import types

    for name in ("name", "embedding", "x", "y"):
        if name not in table.kinds:
            raise ValueError(f"it must have one column {name}")
    labelled = ["label"] if "label" in table.kinds else []
    if not types.is_fixed_size_list(kind := table.kinds["embedding"]) or not types.is_floating(kind.value_type):
        raise ValueError(f"embedding must be lists of float with one length, got {kind}")
    for name in ("name", *labelled):
        if not types.is_string(kind := table.kinds[name]):
            raise ValueError(f"{name} must be text, got {kind}")
    for name in ("x", "y"):
        if not types.is_floating(kind := table.kinds[name]):
            raise ValueError(f"{name} must be numbers, got {kind}")
    names = table.texts("name")
    return {
        "names": names,
        "labels": table.texts("label") if labelled else [""] * len(names),
        "embeddings": table.vectors("embedding"),
        "positions": np.stack([table.numbers("x"), table.numbers("y")], axis=1),
    }
