"""Vectors: files of embeddings and image names, written as .npz or .parquet and read, in bounded memory."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxembed.core import files, npz
from jaxembed.core.errors import InputError
from jaxembed.embed import arrays, foreign, parquet, tables
from jaxembed.embed.arrays import Stored
from jaxembed.embed.foreign import Columns
from jaxembed.embed.index import Neighbours
from jaxembed.embed.tables import Table
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder

# Of files that are written, and of files that are read.
SUFFIXES, READ = (".npz", ".parquet"), (".npz", ".npy", ".parquet")
# Rows copied at a time.
_CHUNK = 8192
# Of a position on a map, which is in [-1, 1] as we write it.
_FARTHEST = 1e6


class About(NamedTuple):
    """The origin of a file of embeddings.

    Attributes:
      source: absolute path of the folder, or the dataset name; empty for a file from elsewhere.
      encoder: the encoder's name, or that of a file from elsewhere.
      sha256: hash of the encoder's parameters and statistics; empty for a file from elsewhere.
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
    with files.replacing(file) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        starts = range(0, len(embeddings), _CHUNK)
        blocks = (np.asarray(embeddings[start : start + _CHUNK], "<f4") for start in starts)
        npz.write(archive, "embeddings", np.dtype("<f4"), embeddings.shape, blocks)
        _write_texts(archive, "names", vectors.names)
        if any(vectors.labels):
            _write_texts(archive, "labels", vectors.labels)
        with archive.open("about.npy", "w") as entry:
            np.lib.format.write_array(entry, np.array(_described(vectors.about)), allow_pickle=False)


def _write_texts(archive: zipfile.ZipFile, name: str, texts: Sequence[str]) -> None:
    """Write texts [n] compressed, because each takes as much as the longest, and in bounded memory."""
    dtype = np.dtype(f"<U{max(1, *map(len, texts))}")
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    size = max(1, 2**24 // dtype.itemsize)
    with archive.open(info, "w", force_zip64=True) as entry:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (len(texts),)}
        np.lib.format.write_array_header_1_0(entry, header)
        for start in range(0, len(texts), size):
            entry.write(np.array(texts[start : start + size], dtype).tobytes())


def write_parquet(
    vectors: Vectors, neighbours: Neighbours, file: Path, thumbnail: Callable[[str], bytes] | None = None
) -> None:
    """Write a .parquet atomically, for tools such as embedding-atlas.

    Columns: `name`, `path` (if the source is a folder), `label` (if there are any), `embedding`, `x` and `y` (map
    coordinates), and `neighbors`: the `ids` (rows) and `distances` of the nearest other images, whose metadata says
    what distance it is. With a function from a name to a small picture's content also `image`, its `bytes`.
    """
    about = vectors.about
    kinds = {"dimension": vectors.embeddings.shape[1], "labelled": any(vectors.labels)}
    kinds |= {"is_folder": Path(about.source).is_absolute(), "measure": space.NAMES[about.distance]}
    chosen = parquet.schema(_described(about), **kinds, pictured=thumbnail is not None)
    parquet.write(file, chosen, _chunks(vectors, neighbours, thumbnail))


def _described(about: About) -> str:
    """Write the origin as JSON that checks itself: other arrays may come to it, but it comes from here."""
    return json.dumps(about._asdict() | {"checksum": _checksum(about)})


def _checksum(about: About) -> str:
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _chunks(
    vectors: Vectors, neighbours: Neighbours, thumbnail: Callable[[str], bytes] | None
) -> Iterator[dict[str, Any]]:
    """Yield the columns of a .parquet, some rows at a time."""
    for start in range(0, len(vectors.embeddings), _CHUNK):
        rows = slice(start, start + _CHUNK)
        names = [files.utf8(name) for name in vectors.names[rows]]
        near = zip(neighbours.rows[rows].tolist(), neighbours.distances[rows].tolist(), strict=True)
        yield {
            "name": names,
            "path": [str(Path(vectors.about.source, name)) for name in names],
            "label": [files.utf8(label) for label in vectors.labels[rows]],
            "embedding": np.asarray(vectors.embeddings[rows]),
            "x": vectors.positions[rows, 0].astype(np.float32),
            "y": vectors.positions[rows, 1].astype(np.float32),
            "neighbors": [{"ids": nearest, "distances": apart} for nearest, apart in near],
            "image": [
                {"bytes": thumbnail(name), "path": shown}
                for name, shown in zip(vectors.names[rows], names, strict=True)
                if thumbnail
            ],
        }


def is_file(argument: str) -> bool:
    """Return whether an argument is a file of vectors, by its suffix, rather than a run, a folder or a dataset."""
    return Path(argument).suffix in READ and not files.expanded(argument).is_dir()


def without_run(asked: Any) -> Any:
    """Take the first of a command's arguments `run` and `source` for the source if it is a file of vectors.

    Raises:
      InputError: if neither is given, a file of vectors comes first, or an option needs one and there is none.
    """
    if asked.run and is_file(asked.run):
        if asked.source:
            raise InputError(f"{asked.run} is a file of vectors, not a run; it cannot come before {asked.source}")
        asked.run, asked.source = None, asked.run
    if not (asked.run or asked.source):
        raise InputError("there must be RUN, or a file of vectors; --help shows the arguments")
    if not (asked.source and is_file(asked.source)):
        for option in ("images", *Columns._fields):
            if getattr(asked, option):
                raise InputError(f"--{option} is for a file of vectors; {asked.source or asked.run} is none")
    return asked


def read(file: Path, columns: Columns = foreign.ANY) -> Vectors:
    """Read a file of embeddings, whoever wrote it; what it holds is checked before it is used.

    Args:
      file: an .npz or .parquet of jaxembed.embed, or one from elsewhere, or an .npy.
      columns: which arrays or columns to read of a file from elsewhere.

    Raises:
      InputError: if the file does not exist, is damaged, or does not hold embeddings.
    """
    if file.suffix not in READ:
        raise InputError(f"{file} must end in {', '.join(READ[:-1])} or {READ[-1]}")
    if not file.is_file():
        raise InputError(f"{file} {'is not a file' if file.exists() else 'does not exist'}")
    told = "is damaged"
    try:
        found = tables.Table(file) if file.suffix == ".parquet" else arrays.find(file)
        if is_own := (found.about is not None if isinstance(found, Table) else "about" in found):
            told = "was not written by jaxembed.embed, or is damaged"
            about, content = _own(found)
        else:
            told = "cannot be used"
            about, content = About("", file.stem, "", "cosine"), foreign.read(file, found, columns)
        embedded = _checked(about, content)
    except InputError:
        raise
    except Exception as error:  # from zipfile, NumPy, JSON or pyarrow
        reason = files.line(f"{type(error).__name__}: {error}")
        raise InputError(f"{file} {told}: {reason}") from error
    if is_own and any(columns):
        given = next(f"--{name}={value}" for name, value in columns._asdict().items() if value)
        raise InputError(f"{file} was written by jaxembed.embed and says what is what; leave out {given}")
    return embedded


def _own(found: Table | dict[str, Stored]) -> tuple[About, dict[str, Any]]:
    """Read what `write_npz` or `write_parquet` wrote."""
    if isinstance(found, Table):
        return _about(found.about), parquet.read(found)
    (text,) = found["about"].texts()
    names = found["names"].texts()
    labels = found["labels"].texts() if "labels" in found else [""] * len(names)
    return _about(text), {"embeddings": found["embeddings"].mapped(), "names": names, "labels": labels}


def _about(text: str) -> About:
    """Make the origin of a file's own words; ValueError unless they are what `About` says."""
    about = files.parsed(text)
    checksum = about.pop("checksum", None)  # which earlier versions do not write
    if not all(isinstance(value, str) for value in about.values()):
        raise ValueError("about must be an object of texts")
    about = About(**about)
    if checksum not in (None, _checksum(about)):
        raise ValueError("about has another checksum")
    if about.distance not in ("cosine", "euclidean"):
        raise ValueError(f"about.distance must be cosine or euclidean, got {about.distance!r}")
    return about


def _checked(about: About, content: Mapping[str, Any]) -> Vectors:
    """Make Vectors of what a file holds; ValueError unless it is what `Vectors` says."""
    embeddings, n = content["embeddings"], len(content["names"])
    if embeddings.ndim != 2 or not embeddings.size or embeddings.dtype.kind != "f":
        raise ValueError(f"embeddings must be float [n, d], got {embeddings.dtype} {list(embeddings.shape)}")
    if not len(embeddings) == len(content["labels"]) == n or not all(content["names"]):
        counts = f"{len(embeddings)} embeddings, {sum(map(bool, content['names']))} names, {len(content['labels'])}"
        raise ValueError(f"{counts} labels for {n} images")
    if embeddings.dtype != np.float32:
        with np.errstate(over="ignore"):
            embeddings = embeddings.astype(np.float32)
    for start in range(0, n, _CHUNK):
        if len(bad := np.flatnonzero(~space.is_usable(np.asarray(embeddings[start : start + _CHUNK])))):
            raise ValueError(f"embeddings must be finite and within {space.LARGEST:g}; row {start + bad[0]} is not")
    positions = content.get("positions")
    if positions is not None and not (np.abs(positions) <= _FARTHEST).all():  # NaN is not
        raise ValueError(f"positions on the map must be within {_FARTHEST:g}")
    return Vectors(embeddings, content["names"], content["labels"], about, positions)


def check_encoder(embedded: Vectors, encoder: "Encoder", file: Path) -> None:
    """Raise an InputError unless the embeddings in a file were computed by this encoder."""
    again = f"run jaxembed.embed again with {encoder.name}"
    if not embedded.about.sha256:
        raise InputError(f"{file} does not say which encoder it was written with: leave out RUN, or {again}")
    if (d := embedded.embeddings.shape[1]) != encoder.dimension:
        raise InputError(
            f"{file} has {d}-dimensional embeddings, but {encoder.name} produces {encoder.dimension}; {again}"
        )
    if embedded.about.sha256 != encoder.saved.sha256:
        raise InputError(f"{file} was written with a different encoder, {embedded.about.encoder}; {again}")
