"""Vectors: a file of embeddings with the names of their images, .npz or .parquet, written in bounded memory."""

import json
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxembed import files
from jaxembed.errors import InputError
from jaxembed.index import Found

SUFFIXES = (".npz", ".parquet")
# Rows of vectors that are copied at a time.
_CHUNK = 8192


class About(NamedTuple):
    """Where vectors come from.

    Attributes:
      source: the absolute path of a folder, or a dataset's name.
      run: the encoder's name.
      encoder: its SHA-256.
      distance: by which the vectors are compared.
    """

    source: str
    run: str
    encoder: str
    distance: str


class Vectors(NamedTuple):
    """The content of a file of vectors.

    Attributes:
      embeddings: [n, d] float32; of an .npz, in the file, not in memory.
      names: of the images: paths in the folder, or `<split>/<row>` of a dataset.
      labels: the names of their classes; empty where there are none.
      about: where they come from.
      points: [n, 2] on a map, if the file has them.
    """

    embeddings: Float[np.ndarray, "n d"]
    names: Sequence[str]
    labels: Sequence[str]
    about: About
    points: Float[np.ndarray, "n 2"] | None = None


class Spool:
    """Collects embeddings on disk, next to the file that they end up in."""

    def __init__(self, file: Path, dimension: int) -> None:
        """Make a temporary file that is removed when the context ends."""
        self.stream = tempfile.TemporaryFile(dir=file.parent)  # noqa: SIM115 (closed by __exit__)
        self.dimension, self.names, self.labels = dimension, [], []

    def __enter__(self) -> "Spool":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary file."""
        self.stream.close()

    def add(self, names: Iterable[str], labels: Iterable[str], embeddings: Float[np.ndarray, "n d"]) -> None:
        """Append the embeddings of some images."""
        self.names += names
        self.labels += labels
        self.stream.write(np.ascontiguousarray(embeddings, np.float32).tobytes())

    def vectors(self, about: About) -> Vectors:
        """Return everything that was added, as an array in the file; at least one embedding."""
        self.stream.flush()
        shape = (len(self.names), self.dimension)
        return Vectors(np.memmap(self.stream, np.float32, "r", shape=shape), self.names, self.labels, about)


def check_suffix(file: Path) -> None:
    """Raise an InputError unless a file's name says which format it has."""
    if file.suffix not in SUFFIXES:
        raise InputError(f"{file} must end in {' or '.join(SUFFIXES)}")


def write_npz(vectors: Vectors, file: Path) -> None:
    """Write vectors as an .npz, whole or not at all: `embeddings`, `names`, `labels` if there are any, `about`."""
    embeddings = vectors.embeddings
    header = {"descr": "<f4", "fortran_order": False, "shape": embeddings.shape}
    with files.replacing(file) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("embeddings.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            for start in range(0, len(embeddings), _CHUNK):
                entry.write(embeddings[start : start + _CHUNK].tobytes())
        texts = {"names": vectors.names, "about": json.dumps(vectors.about._asdict())}
        texts |= {"labels": vectors.labels} if any(vectors.labels) else {}
        for name, text in texts.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.array(text, str), allow_pickle=False)


def write_parquet(vectors: Vectors, neighbours: Found, file: Path) -> None:
    """Write vectors as a .parquet, whole or not at all, for tools that show embeddings.

    Columns: `name`, `path` (of a folder's images), `label` (if there are any), `embedding`, `x` and `y` on a map,
    and `neighbors`, the `ids` (rows) and `distances` of the nearest others.
    """
    import pyarrow
    from pyarrow import parquet

    n, d = vectors.embeddings.shape
    floats, nested = pyarrow.list_(pyarrow.float32()), pyarrow.list_(pyarrow.int32())
    fields = [pyarrow.field("name", pyarrow.string())]
    is_folder = Path(vectors.about.source).is_absolute()
    fields += [pyarrow.field("path", pyarrow.string())] if is_folder else []
    fields += [pyarrow.field("label", pyarrow.string())] if any(vectors.labels) else []
    fields += [
        pyarrow.field("embedding", pyarrow.list_(pyarrow.float32(), d)),
        pyarrow.field("x", pyarrow.float32()),
        pyarrow.field("y", pyarrow.float32()),
        pyarrow.field("neighbors", pyarrow.struct({"ids": nested, "distances": floats})),
    ]
    schema = pyarrow.schema(fields, metadata={"jaxembed": json.dumps(vectors.about._asdict())})
    with files.replacing(file) as stream, parquet.ParquetWriter(stream, schema) as writer:
        for start in range(0, n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            names = [files.utf8(name) for name in vectors.names[rows]]
            found, distances = neighbours.rows[rows], neighbours.distances[rows].astype(np.float32)
            columns: dict[str, Any] = {
                "name": names,
                "path": [str(Path(vectors.about.source, name)) for name in names],
                "label": vectors.labels[rows],
                "embedding": pyarrow.FixedSizeListArray.from_arrays(vectors.embeddings[rows].ravel(), d),
                "x": vectors.points[rows, 0].astype(np.float32),
                "y": vectors.points[rows, 1].astype(np.float32),
                "neighbors": [
                    {"ids": ids, "distances": apart}
                    for ids, apart in zip(found.tolist(), distances.tolist(), strict=True)
                ],
            }
            writer.write(pyarrow.table({field.name: columns[field.name] for field in fields}, schema=schema))


def read(file: Path) -> Vectors:
    """Read a file of vectors.

    Raises:
      InputError: if there is no such file, or it holds no vectors or is damaged.
    """
    check_suffix(file)
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    try:
        return _read_npz(file) if file.suffix == ".npz" else _read_parquet(file)
    except Exception as error:  # of zipfile, NumPy, JSON or pyarrow
        raise InputError(
            f"{file} holds no vectors of jaxembed.embed, or is damaged: {type(error).__name__}: {error}"
        ) from error


def _read_npz(file: Path) -> Vectors:
    with np.load(file) as arrays:
        names, about = arrays["names"].tolist(), About(**json.loads(str(arrays["about"])))
        labels = arrays["labels"].tolist() if "labels" in arrays else [""] * len(names)
    embeddings = _mapped(file)
    if len(embeddings) != len(names):
        raise ValueError(f"{len(embeddings)} embeddings of {len(names)} images")
    return Vectors(embeddings, names, labels, about)


def _mapped(file: Path) -> np.ndarray:
    """Map the embeddings of an .npz into memory: they are not compressed, so that only what is used is read."""
    with zipfile.ZipFile(file) as archive, file.open("rb") as stream:
        entry = archive.getinfo("embeddings.npy")
        if entry.compress_type != zipfile.ZIP_STORED:
            with archive.open(entry) as content:
                return np.lib.format.read_array(content)
        stream.seek(entry.header_offset + 26)
        stream.seek(sum(struct.unpack("<HH", stream.read(4))), 1)  # after the entry's name and extra field
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        return np.memmap(file, dtype, "r", offset=stream.tell(), shape=shape)


def _read_parquet(file: Path) -> Vectors:
    from pyarrow import parquet

    table = parquet.read_table(file)
    about = About(**json.loads(table.schema.metadata[b"jaxembed"]))
    dimension = table.schema.field("embedding").type.list_size
    embeddings = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, dimension)
    names = table["name"].to_pylist()
    labels = table["label"].to_pylist() if "label" in table.column_names else [""] * len(names)
    return Vectors(
        embeddings, names, labels, about, np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    )
