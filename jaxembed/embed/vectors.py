"""Vectors: files of embeddings and image names, .npz or .parquet, written in bounded memory."""

import json
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed.index import Neighbours
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.frozen import FrozenEncoder

SUFFIXES = (".npz", ".parquet")
# Rows copied at a time.
_CHUNK = 8192


class About(NamedTuple):
    """The origin of a file of embeddings.

    Attributes:
      source: absolute path of the folder, or the dataset name.
      encoder: the encoder's name.
      sha256: hash of the encoder's parameters and statistics.
      distance: "cosine" or "euclidean", the distance by which the embeddings are compared.
    """

    source: str
    encoder: str
    sha256: str
    distance: str


class Vectors(NamedTuple):
    """The content of a file of embeddings.

    Attributes:
      embeddings: [n, d] float32; memory-mapped if the file is an .npz.
      names: image names: paths relative to the folder, or `<split>/<row>` for a dataset.
      labels: class name of each image, "" if unlabelled.
      about: the origin of the embeddings.
      positions: [n, 2] map coordinates, if the file has them.
    """

    embeddings: Float[np.ndarray, "n d"]
    names: Sequence[str]
    labels: Sequence[str]
    about: About
    positions: Float[np.ndarray, "n 2"] | None = None


class Spool:
    """Collects embeddings in a temporary file."""

    def __init__(self, folder: Path, dimension: int) -> None:
        """Create a temporary file in a folder; it is removed when the context exits."""
        self.stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
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
        """Return everything that was added, memory-mapped; at least one image must have been added."""
        self.stream.flush()
        shape = (len(self.names), self.dimension)
        return Vectors(np.memmap(self.stream, np.float32, "r", shape=shape), self.names, self.labels, about)


def check_suffix(file: Path, *, what: str) -> None:
    """Raise an InputError unless a file name ends in one of SUFFIXES; `what` names the file in the error."""
    if file.suffix not in SUFFIXES:
        raise InputError(f"{what} must end in {' or '.join(SUFFIXES)}")


def write_npz(vectors: Vectors, file: Path) -> None:
    """Write an .npz atomically: `embeddings`, `names`, `labels` (if there are any) and `about`."""
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


def write_parquet(vectors: Vectors, neighbours: Neighbours, file: Path) -> None:
    """Write a .parquet atomically, for tools such as embedding-atlas.

    Columns: `name`, `path` (if the source is a folder), `label` (if there are any), `embedding`, `x` and `y` (map
    coordinates), and `neighbors`: the `ids` (rows) and `distances` of the nearest other images, whose metadata says
    what distance it is.
    """
    import pyarrow
    from pyarrow import parquet

    n, d = vectors.embeddings.shape
    floats, nested = pyarrow.list_(pyarrow.float32()), pyarrow.list_(pyarrow.int32())
    measure = {"distances": space.NAMES[vectors.about.distance]}
    fields = [pyarrow.field("name", pyarrow.string())]
    is_folder = Path(vectors.about.source).is_absolute()
    fields += [pyarrow.field("path", pyarrow.string())] if is_folder else []
    fields += [pyarrow.field("label", pyarrow.string())] if any(vectors.labels) else []
    fields += [
        pyarrow.field("embedding", pyarrow.list_(pyarrow.float32(), d)),
        pyarrow.field("x", pyarrow.float32()),
        pyarrow.field("y", pyarrow.float32()),
        pyarrow.field("neighbors", pyarrow.struct({"ids": nested, "distances": floats}), metadata=measure),
    ]
    schema = pyarrow.schema(fields, metadata={"jaxembed": json.dumps(vectors.about._asdict())})
    with files.replacing(file) as stream, parquet.ParquetWriter(stream, schema) as writer:
        for start in range(0, n, _CHUNK):
            rows = slice(start, start + _CHUNK)
            names = [files.utf8(name) for name in vectors.names[rows]]
            ids, distances = neighbours.rows[rows], neighbours.distances[rows].astype(np.float32)
            columns: dict[str, Any] = {
                "name": names,
                "path": [str(Path(vectors.about.source, name)) for name in names],
                "label": vectors.labels[rows],
                "embedding": pyarrow.FixedSizeListArray.from_arrays(vectors.embeddings[rows].ravel(), d),
                "x": vectors.positions[rows, 0].astype(np.float32),
                "y": vectors.positions[rows, 1].astype(np.float32),
                "neighbors": [
                    {"ids": nearest, "distances": apart}
                    for nearest, apart in zip(ids.tolist(), distances.tolist(), strict=True)
                ],
            }
            writer.write(pyarrow.table({field.name: columns[field.name] for field in fields}, schema=schema))


def read(file: Path) -> Vectors:
    """Read a file of embeddings.

    Raises:
      InputError: if the file does not exist, was not written by jaxembed.embed, or is damaged.
    """
    check_suffix(file, what=str(file))
    if not file.is_file():
        raise InputError(f"{file} {'is not a file' if file.exists() else 'does not exist'}")
    try:
        return _read_npz(file) if file.suffix == ".npz" else _read_parquet(file)
    except Exception as error:  # from zipfile, NumPy, JSON or pyarrow
        raise InputError(
            f"{file} was not written by jaxembed.embed, or is damaged: {type(error).__name__}: {error}"
        ) from error


def _read_npz(file: Path) -> Vectors:
    with np.load(file) as arrays:
        names, about = arrays["names"].tolist(), About(**json.loads(str(arrays["about"])))
        labels = arrays["labels"].tolist() if "labels" in arrays else [""] * len(names)
    embeddings = _mapped(file)
    if len(embeddings) != len(names):
        raise ValueError(f"{len(embeddings)} embeddings for {len(names)} images")
    return Vectors(embeddings, names, labels, about)


def _mapped(file: Path) -> np.ndarray:
    """Memory-map the embeddings of an .npz; they are stored uncompressed, so only the rows in use are read."""
    with zipfile.ZipFile(file) as archive, file.open("rb") as stream:
        entry = archive.getinfo("embeddings.npy")
        if entry.compress_type != zipfile.ZIP_STORED:
            with archive.open(entry) as content:
                return np.lib.format.read_array(content)
        stream.seek(entry.header_offset + 26)
        stream.seek(sum(struct.unpack("<HH", stream.read(4))), 1)  # skip the entry's name and extra field
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
    positions = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return Vectors(embeddings, names, labels, about, positions)


def check_encoder(embedded: Vectors, encoder: "FrozenEncoder", file: Path) -> None:
    """Raise an InputError unless the embeddings in a file were computed by this encoder."""
    again = f"run jaxembed.embed again with {encoder.name}"
    if (d := embedded.embeddings.shape[1]) != encoder.dimension:
        raise InputError(
            f"{file} has {d}-dimensional embeddings, but {encoder.name} produces {encoder.dimension}; {again}"
        )
    if embedded.about.sha256 != encoder.saved.sha256:
        raise InputError(f"{file} was written with a different encoder, {embedded.about.encoder}; {again}")
