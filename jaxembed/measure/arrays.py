"""Arrays of embeddings by split: an .npz, a folder of .npy files, or a file of vectors; never unpickled."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.embed import arrays, foreign, naming, vectors
from jaxembed.embed.arrays import Stored
from jaxembed.embed.foreign import Columns
from jaxembed.embed.vectors import About

SPLITS = ("train", "validation", "test")
# Arrays that a split has in addition to its embedding; only labels must be there.
PARTS = ("labels", "images", "names")
WANTED = ("train", "train_labels", "test", "test_labels")
# Copies of the vectors that measuring holds at a time, roughly.
_COPIES = 3


def read(source: Path, columns: Columns = foreign.ANY) -> tuple[dict[str, np.ndarray], About | None]:
    """Read all arrays by name, and what jaxembed.embed says of their origin; `columns` are those of a table.

    Raises:
      InputError: if one that is wanted is missing, or one cannot be read.
    """
    given, about = _read(source, columns)
    wanted = (*WANTED, "validation_labels") if "validation" in given else WANTED
    if lacks := [name for name in wanted if name not in given]:
        raise InputError(f"{source} must have the arrays {', '.join(wanted)}; it lacks {', '.join(lacks)}")
    return given, about


def _read(source: Path, columns: Columns) -> tuple[dict[str, np.ndarray], About | None]:
    if not source.is_dir() and source.suffix not in vectors.SUFFIXES:
        raise InputError(f"{source} must be a folder of .npy files, or end in {' or '.join(vectors.SUFFIXES)}")
    if not source.is_dir() and not source.is_file():
        raise InputError(f"{source} does not exist")
    if source.suffix == ".parquet" and not source.is_dir():
        return _embedded(source, columns)
    try:
        found = arrays.find(source)
    except Exception as error:  # from a damaged archive
        raise InputError(f"{source} cannot be read: {files.line(str(error))}") from error
    if "embeddings" in found and not source.is_dir():
        return _embedded(source, columns)
    known = {name: stored for name, stored in found.items() if _is_known(name)}
    if source.is_dir() and not known:
        raise InputError(f"{source} must have a file for each array, {', '.join(f'{name}.npy' for name in WANTED)}")
    return _loaded(source, known), None


def _embedded(source: Path, columns: Columns) -> tuple[dict[str, np.ndarray], About | None]:
    """Read vectors whose names, as `<split>/<row>`, say which split an image is in."""
    written = vectors.read(source, columns)
    if (splits := naming.splits(written.names)) is None:
        raise InputError(
            f"{source} must have embeddings of a dataset with train and test splits, in names such as test/0; "
            f"got {files.printable(written.names[0])}"
        )
    given = {}
    for split in dict.fromkeys(splits):
        rows = np.flatnonzero(np.array(splits) == split)
        given[split] = np.asarray(written.embeddings[rows])
        given[f"{split}_labels"] = np.array([written.labels[row] for row in rows], str)
        names = [written.names[row] for row in rows]
        # Not names that a dataset without any has: its validation images are chosen by row, as a run does it.
        if names != [f"{split}/{row}" for row in range(len(rows))]:
            given[f"{split}_names"] = np.array(names, str)
    return given, written.about if written.about.sha256 else None


def _is_known(name: str) -> bool:
    split, _, part = name.partition("_")
    return name == "classes" or (split in SPLITS and part in ("", *PARTS))


def _loaded(source: Path, known: Mapping[str, Stored]) -> dict[str, np.ndarray]:
    """Read arrays whose shapes are checked first."""
    for name, stored in known.items():
        header = _read_by(lambda each: each.header, source, stored)
        needed = math.prod(header.shape) * 4 * _COPIES if name in SPLITS else header.size
        if needed > (memory := mesh.memory()):
            raise InputError(
                f"{source}: {name}, of shape {list(header.shape)}, needs {needed / 1e9:,.1f} GB of memory; there "
                f"are {memory / 1e9:,.1f} GB"
            )
    return {name: _read_by(Stored.read, source, stored) for name, stored in known.items()}


def _read_by(read: Callable[[Stored], Any], source: Path, stored: Stored) -> Any:
    """Read an array or its header; InputError names what is damaged."""
    try:
        return read(stored)
    except Exception as error:  # from a damaged archive or header
        raise InputError(f"{source}: {stored.name} cannot be read: {files.line(str(error))}") from error
