"""Arrays of an .npz or .npy that anybody may have made, or time may have changed: checked before they are read."""

import io
import math
import struct
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxembed.core import files

Arrays = dict[str, np.ndarray]
# Bytes that are read at a time.
_BLOCK = 2**24
# An array that takes more bytes than this, and so many times more than its file has of it, is made to fill memory.
_LARGE, _RATIO = 2**30, 200
# Letters of a text, and of all texts of an array.
_LONGEST_TEXT, _LETTERS = 2**16, 2**27
# Bytes of a header: a few words, unless it is made to fill memory.
_LONGEST_HEADER = 2**16
# Pixels of a side of a picture: more cannot be shown as WebP.
_LONGEST_SIDE = 16_000
# The end of an archive without a comment: its mark, four numbers of which the last counts its entries, and more.
_END = struct.Struct("<4s4H2LH")
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """What an array says of itself: its shape, whether its first axis is the fastest in the file, and its dtype."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Count the bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read(file: Path, *, mapped: Sequence[str] = ()) -> Arrays:
    """Read all arrays of an .npz, in this machine's byte order; their CRC is checked.

    Args:
      file: the .npz.
      mapped: the names of those that `memory_mapped` reads.

    Raises:
      Exception: nearly any, if the file is damaged; ValueError for an array of objects, or one that would inflate
        to fill the memory.
    """
    with zipfile.ZipFile(files.regular(file)) as archive:
        return {
            name: memory_mapped(archive, name, file) if name in mapped else _read(archive, name)
            for name in names(archive)
        }


def memory_mapped(archive: zipfile.ZipFile, name: str, file: Path) -> np.ndarray:
    """Map an array of an .npz if it is stored uncompressed in this machine's byte order, else read it.

    Raises:
      Exception: as `read`.
    """
    entry = entry_of(archive, name)
    with archive.open(entry) as stream:
        found = header(stream, entry.file_size)
        if entry.compress_type != zipfile.ZIP_STORED or not found.dtype.isnative or not found.size:
            return _read(archive, name)
        # To the end, where its CRC is checked.
        if (read := sum(map(len, blocks(stream, found.dtype)))) * found.dtype.itemsize < found.size:
            raise ValueError(f"{name} is cut after {read:,} numbers")
    values = _start(file, entry) + entry.file_size - found.size
    return np.memmap(file, found.dtype, "r", values, found.shape, "F" if found.is_fortran else "C")


def write(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> None:
    """Write an array of an .npz, uncompressed, from blocks of its values in order, which need not fit in memory."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(entry, described)
        for block in blocks:
            entry.write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")


def refuse_bomb(name: str, size: int, stored: int) -> None:
    """Raise a ValueError for an array that takes so much more memory than its file that it is made to fill it."""
    if size > max(_LARGE, _RATIO * stored):
        raise ValueError(f"{name} inflates from {stored:,} to {size:,} bytes")


def names(archive: zipfile.ZipFile) -> list[str]:
    """List the arrays of an .npz; BadZipFile if one has two names, or none, because a bit of one has flipped, or if
    the archive lists fewer than it counts.
    """
    archive.fp.seek(-_END.size, io.SEEK_END)
    mark, _, _, _, count, *_ = _END.unpack(archive.fp.read(_END.size))
    if mark == b"PK\5\6" and count not in (len(archive.namelist()), 2**16 - 1):  # which stands for more
        raise zipfile.BadZipFile(f"it lists {len(archive.namelist())} of {count} arrays")
    for name in archive.namelist():
        archive.open(name).close()
    return [name.removesuffix(".npy") for name in archive.namelist()]


def entry_of(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Find an array in an .npz; ValueError if there is none."""
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"it lacks {name}")
    return archive.getinfo(f"{name}.npy")


def header(stream: BufferedIOBase, size: int) -> Header:
    """Read the header of an .npy of `size` bytes; the stream is at its values then.

    Raises:
      ValueError: if it is no .npy, has objects, or does not have as many bytes as its header says.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"version {version[0]}.{version[1]} of .npy is not read here")
    stated = stream.read(2 * version[0])
    if (length := int.from_bytes(stated, "little")) > _LONGEST_HEADER:
        raise ValueError(f"its header must have at most {_LONGEST_HEADER:,} bytes, got {length:,}")
    found = Header(*_READERS[version](io.BytesIO(stated + stream.read(length))))
    if found.dtype.hasobject:
        raise ValueError("an array of objects is not unpickled; use numbers or strings")
    if found.dtype.names or found.dtype.subdtype or not all(side >= 0 for side in found.shape):
        raise ValueError(f"an array of {found.dtype} of shape {found.shape} is not read here")
    if (got := size - stream.tell()) != found.size:
        raise ValueError(f"{found.dtype} of shape {found.shape} takes {found.size:,} bytes, got {got:,}")
    return found


def array(stream: BufferedIOBase, size: int) -> np.ndarray:
    """Read an .npy of `size` bytes, in this machine's byte order; ValueError as `header`."""
    return values(stream, header(stream, size))


def values(stream: BufferedIOBase, found: Header) -> np.ndarray:
    """Read the values after a header, to the end of the stream; ValueError if they are cut."""
    content = bytearray(found.size)
    view, start = memoryview(content), 0
    while block := stream.read(_BLOCK):
        view[start : start + len(block)] = block
        start += len(block)
    if start < found.size:
        raise ValueError(f"it is cut after {start:,} of {found.size:,} bytes")
    flat = np.frombuffer(content, found.dtype) if found.size else np.empty(0, found.dtype)
    shaped = flat.reshape(found.shape, order="F" if found.is_fortran else "C")
    native = shaped.astype(found.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind == "U" and native.size and native.ravel().view(np.uint32).max() > sys.maxunicode:
        raise ValueError("its texts have characters that there are not")
    return native


def texts(stream: BufferedIOBase, found: Header) -> list[str]:
    """Read texts [n], or one, a block at a time: the array has the length of its longest text for each of them.

    Raises:
      ValueError: if they are not texts, or longer than names can be.
    """
    if found.dtype.kind != "U" or len(found.shape) > 1 or not 0 < found.dtype.itemsize <= 4 * _LONGEST_TEXT:
        raise ValueError(f"it must be texts of shape [n], got {found.dtype} of shape {list(found.shape)}")
    read, letters = [], 0
    for block in blocks(stream, found.dtype):
        some = block.tolist()
        read += some
        letters += len(some) + sum(map(len, some))
        if letters > _LETTERS:
            raise ValueError(f"it must be texts of at most {_LETTERS:,} letters in all, and one for each text")
    return read


def blocks(stream: BufferedIOBase, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Read the values of a stream to its end, some at a time, in the order of the file."""
    size = max(1, _BLOCK // dtype.itemsize) * dtype.itemsize
    while block := stream.read(size):  # of a zip archive's entry it is shorter at its end only
        yield np.frombuffer(block, dtype)


def require_pictures(name: str, images: np.ndarray) -> None:
    """Raise a ValueError unless an array is pictures, uint8 [..., h, w, c], that can be shown."""
    *_, height, width, channels = (0, 0, 0, *images.shape)
    sides = 1 <= min(height, width) <= max(height, width) <= _LONGEST_SIDE
    if images.dtype != np.uint8 or channels not in (1, 3) or not sides:
        wanted = f"uint8 [..., h, w, c] with 1 or 3 channels and sides of 1 to {_LONGEST_SIDE:,} pixels"
        raise ValueError(f"{name} must be {wanted}, got {images.dtype} of shape {list(images.shape)}")


def require(arrays: Mapping[str, np.ndarray], **kinds: tuple[str, Sequence[int | None]]) -> None:
    """Raise a ValueError unless there are arrays of these names, kinds and shapes.

    Args:
      arrays: the arrays by name; there may be others.
      **kinds: each name's dtype (or "str" for text of any length) and shape, None for a side of any length.
    """
    for name, (kind, shape) in kinds.items():
        if name not in arrays:
            raise ValueError(f"it lacks {name}")
        array = arrays[name]
        got = "str" if array.dtype.kind == "U" else str(array.dtype)
        sides = len(shape) == array.ndim and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
        if got != kind or not sides:
            raise ValueError(f"{name} must be {kind} of shape {tuple(shape)}, got {got} of shape {array.shape}")


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    entry = entry_of(archive, name)
    refuse_bomb(name, entry.file_size, entry.compress_size)
    with archive.open(entry) as stream:
        return array(stream, entry.file_size)


def _start(file: Path, entry: zipfile.ZipInfo) -> int:
    """Return where the content of an archive's uncompressed entry starts in its file."""
    with file.open("rb") as stream:
        stream.seek(entry.header_offset + 26)
        name, extra = np.frombuffer(stream.read(4), "<u2").tolist()
        return stream.seek(name + extra, 1)
