"""Arrays of embeddings, by name: an .npz, a folder of .npy files, or a file of jaxembed.embed; never unpickled."""

import math
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from jaxembed.core import files, npz
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import layout
from jaxembed.devices import mesh
from jaxembed.embed import vectors
from jaxembed.embed.vectors import About

SPLITS = ("train", "validation", "test")
# Arrays that a split has in addition to its embedding; only labels must be there.
PARTS = ("labels", "images", "names")
WANTED = ("train", "train_labels", "test", "test_labels")
# Copies of the vectors that measuring holds at a time, roughly.
_COPIES = 3
# Opens an array: its stream, and its bytes with the header.
Opener = Callable[[], tuple[BufferedIOBase, int]]


def read(source: Path) -> tuple[dict[str, np.ndarray], About | None]:
    """Read all arrays by name, and what jaxembed.embed says of their origin.

    Raises:
      InputError: if one that is wanted is missing, or one cannot be read.
    """
    arrays, about = _read(source)
    wanted = (*WANTED, "validation_labels") if "validation" in arrays else WANTED
    if lacks := [name for name in wanted if name not in arrays]:
        raise InputError(f"{source} must have the arrays {', '.join(wanted)}; it lacks {', '.join(lacks)}")
    return arrays, about


def _read(source: Path) -> tuple[dict[str, np.ndarray], About | None]:
    if source.is_dir():
        found = {file.stem: partial(_open, file) for file in sorted(source.glob("*.npy")) if _is_known(file.stem)}
        if not found:
            raise InputError(
                f"{source} must have a file for each array, {', '.join(f'{name}.npy' for name in WANTED)}"
            )
        return _loaded(source, found), None
    if source.suffix not in vectors.SUFFIXES:
        raise InputError(f"{source} must be a folder of .npy files, or end in {' or '.join(vectors.SUFFIXES)}")
    if not source.is_file():
        raise InputError(f"{source} does not exist")
    if source.suffix == ".npz":
        try:
            with zipfile.ZipFile(source) as archive:
                names = npz.names(archive)
                if "embeddings" not in names:
                    known = {name: partial(_open_entry, source, name) for name in names if _is_known(name)}
                    return _loaded(source, known), None
        except InputError:
            raise
        except Exception as error:  # from a damaged archive
            raise InputError(f"{source} cannot be read: {files.line(str(error))}") from error
    return _embedded(source)


def _embedded(source: Path) -> tuple[dict[str, np.ndarray], About]:
    """Read what jaxembed.embed wrote: the names, `<split>/<row>`, say which split an image is in."""
    written = vectors.read(source)
    # A folder of pictures may call its splits otherwise.
    firsts = [name.partition("/")[0] for name in written.names]
    splits = np.array([layout.split_of(first) or first for first in firsts])
    if unknown := sorted({*splits.tolist()} - {*SPLITS}):
        raise InputError(
            f"{source} must have embeddings of a dataset with train and test splits, in names such as test/0; "
            f"got {files.printable(unknown[0])}"
        )
    arrays = {}
    for split in dict.fromkeys(splits.tolist()):
        rows = np.flatnonzero(splits == split)
        arrays[split] = np.asarray(written.embeddings[rows])
        arrays[f"{split}_labels"] = np.array([written.labels[row] for row in rows], str)
        names = [written.names[row] for row in rows]
        # Not names that a dataset without any has: its validation images are chosen by row, as a run does it.
        if names != [f"{split}/{row}" for row in range(len(rows))]:
            arrays[f"{split}_names"] = np.array(names, str)
    return arrays, written.about


def _is_known(name: str) -> bool:
    split, _, part = name.partition("_")
    return name == "classes" or (split in SPLITS and part in ("", *PARTS))


def _open(file: Path) -> tuple[BufferedIOBase, int]:
    return files.regular(file).open("rb"), file.stat().st_size


def _open_entry(file: Path, name: str) -> tuple[BufferedIOBase, int]:
    archive = zipfile.ZipFile(file)
    entry = npz.entry_of(archive, name)
    return archive.open(entry), entry.file_size


def _loaded(source: Path, openers: Mapping[str, Opener]) -> dict[str, np.ndarray]:
    """Read arrays whose shapes are checked first; nothing is unpickled."""
    headers = {name: _read_by(npz.header, source, name, opener) for name, opener in openers.items()}
    for name, header in headers.items():
        needed = math.prod(header.shape) * 4 * _COPIES if name in SPLITS else header.size
        if needed > (memory := mesh.memory()):
            raise InputError(
                f"{source}: {name}, of shape {list(header.shape)}, needs {needed / 1e9:,.1f} GB of memory; there "
                f"are {memory / 1e9:,.1f} GB"
            )
    return {name: _read_by(npz.array, source, name, opener) for name, opener in openers.items()}


def _read_by(read: Callable[[BufferedIOBase, int], Any], source: Path, name: str, opener: Opener) -> Any:
    """Read an array or its header; InputError names what is damaged."""
    try:
        stream, size = opener()
        with stream:
            return read(stream, size)
    except Exception as error:  # from a damaged archive or header
        raise InputError(f"{source}: {name} cannot be read: {files.line(str(error))}") from error
