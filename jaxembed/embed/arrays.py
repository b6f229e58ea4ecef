"""Arrays that anybody may have made: of an .npz, an .npy or a folder of .npy files, found by name and checked."""

import zipfile
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxembed.core import files, npz
from jaxembed.core.npz import Header


class Stored:
    """An array in a file; nothing of it is read before its header is checked, and nothing is unpickled.

    Each method raises nearly any exception if the file is damaged, and a ValueError for an array of objects.
    """

    def __init__(self, file: Path, name: str) -> None:
        """Take an array of an .npz, or the one of an .npy."""
        self.file, self.name = file, name

    @cached_property
    def header(self) -> Header:
        """Read the header."""
        stream, size = self._opened()
        with stream:
            return npz.header(stream, size)

    def read(self) -> np.ndarray:
        """Read all values."""
        stream, size = self._opened()
        with stream:
            return npz.array(stream, size)

    def texts(self) -> list[str]:
        """Read texts [n], a part of them at a time."""
        stream, size = self._opened()
        with stream:
            return npz.texts(stream, npz.header(stream, size))

    def mapped(self) -> Float[np.ndarray, "n d"]:
        """Memory-map float32 as it is stored, uncompressed, after its CRC is checked; else read all values."""
        stream, size = self._opened()
        with stream:
            header = npz.header(stream, size)
            if header.dtype != np.dtype("<f4") or self._is_compressed:
                npz.refuse_bomb(self.name, header.size, self._entry.compress_size if self._entry else size)
                return npz.values(stream, header)
        if self._entry:
            with zipfile.ZipFile(self.file) as archive:
                return npz.memory_mapped(archive, self.name, self.file)
        order = "F" if header.is_fortran else "C"
        return np.memmap(self.file, header.dtype, "r", size - header.size, header.shape, order)

    @cached_property
    def _entry(self) -> zipfile.ZipInfo | None:
        """Find the entry of the archive; None for an .npy."""
        if self.file.suffix != ".npz":
            return None
        with zipfile.ZipFile(files.regular(self.file)) as archive:
            return npz.entry_of(archive, self.name)

    @property
    def _is_compressed(self) -> bool:
        return self._entry is not None and self._entry.compress_type != zipfile.ZIP_STORED

    def _opened(self) -> tuple[BufferedIOBase, int]:
        """Open the array: its stream, and its bytes with the header."""
        if self._entry is None:
            return files.regular(self.file).open("rb"), self.file.stat().st_size
        return zipfile.ZipFile(self.file).open(self._entry), self._entry.file_size


def find(source: Path) -> dict[str, Stored]:
    """Find the arrays of an .npz, an .npy, which has its file's name, or a folder of them, by name.

    Raises:
      Exception: nearly any, if the archive is damaged.
    """
    if source.is_dir():
        return {file.stem: Stored(file, file.stem) for file in sorted(source.glob("*.npy"))}
    if source.suffix == ".npy":
        return {source.stem: Stored(source, source.stem)}
    with zipfile.ZipFile(files.regular(source)) as archive:
        return {name: Stored(source, name) for name in npz.names(archive)}
