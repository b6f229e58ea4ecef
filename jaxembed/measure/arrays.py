"""Arrays of embeddings, by name: an .npz, a folder of .npy files, or a file of jaxembed.embed; never unpickled."""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxembed.core import files
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
        found = {file.stem: _opener(file) for file in sorted(source.glob("*.npy")) if _is_known(file.stem)}
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
                names = [Path(name).stem for name in archive.namelist()]
                if "embeddings" not in names:
                    known = {name: _entry_opener(source, name) for name in names if _is_known(name)}
                    return _loaded(source, known), None
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{source} cannot be read: {error}") from error
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


def _opener(file: Path) -> Callable[[], BinaryIO]:
    return lambda: file.open("rb")


def _entry_opener(file: Path, name: str) -> Callable[[], BinaryIO]:
    return lambda: io.BufferedReader(zipfile.ZipFile(file).open(f"{name}.npy"))


def _loaded(source: Path, openers: Mapping[str, Callable[[], BinaryIO]]) -> dict[str, np.ndarray]:
    """Read arrays whose shapes are checked first; nothing is unpickled."""
    headers = {name: _header(source, name, opener) for name, opener in openers.items()}
    for name, (shape, dtype) in headers.items():
        if dtype.hasobject:
            raise InputError(
                f"{source}: {name} is an array of objects, which are not unpickled; use numbers or strings"
            )
        needed = math.prod(shape) * (4 * _COPIES if name in SPLITS else dtype.itemsize)
        if needed > (memory := mesh.memory()):
            raise InputError(
                f"{source}: {name}, of shape {list(shape)}, needs {needed / 1e9:,.1f} GB of memory; there are "
                f"{memory / 1e9:,.1f} GB"
            )
    arrays = {}
    for name, opener in openers.items():
        try:
            with opener() as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{source}: {name} cannot be read: {error}") from error
    return arrays


def _header(source: Path, name: str, opener: Callable[[], BinaryIO]) -> tuple[tuple[int, ...], np.dtype]:
    try:
        with opener() as stream:
            version = np.lib.format.read_magic(stream)
            reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = reader[version](stream)
            return shape, dtype
    except Exception as error:  # from a damaged archive or header
        raise InputError(f"{source}: {name} is damaged: {type(error).__name__}: {error}") from error
