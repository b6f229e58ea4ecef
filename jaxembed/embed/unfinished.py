"""Unfinished: what an update has embedded so far, in a file next to its output; the next update resumes from it."""

import fcntl
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float

import jaxembed
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed.encoder import Encoder
from jaxembed.kernels import space
from jaxembed.pictures import Unreadable

SUFFIX = ".unfinished"
# Of a block: the bytes of its JSON and of its embeddings; before them is their SHA-256.
_SIZES = struct.Struct("<QQ")
_HASH, _LARGEST = 32, 2**31


class Block(NamedTuple):
    """Some pictures that were read together.

    Attributes:
      changed: when each had last changed, in nanoseconds since 1970, by name.
      unreadable: those among them that cannot be read.
      embeddings: [n, d] of the others, in the same order.
    """

    changed: Mapping[str, int]
    unreadable: Sequence[Unreadable]
    embeddings: Float[np.ndarray, "n d"]

    @property
    def names(self) -> list[str]:
        """The names of the pictures that are embedded."""
        bad = {each.file for each in self.unreadable}
        return [name for name in self.changed if name not in bad]


class Unfinished:
    """A file of blocks, each with its checksum; a block that was being written when the process ended is dropped.

    Attributes:
      blocks: those that the file has, of an earlier update by the same encoder.
    """

    def __init__(self, output: Path, encoder: Encoder, source: str) -> None:
        """Open the file of an output, or make it; another encoder's, folder's or version's is written anew.

        Raises:
          InputError: if another process is writing it.
        """
        self.file, self.dimension = output.with_name(output.name + SUFFIX), encoder.dimension
        about = {"version": jaxembed.__version__, "source": source, "preparation": encoder.preparation}
        about |= {"encoder": encoder.name, "sha256": encoder.saved.sha256, "distance": encoder.distance}
        self.stream: BinaryIO = self.file.open("a+b")
        self._hold()
        self.stream.seek(0)
        given = json.dumps(about, sort_keys=True).encode()
        own = next(_parts(self.stream), (b"", b"")) == (given, b"")
        self.blocks = list(self._read()) if own else []
        self.empty = not self.blocks
        if not own:
            self.stream.truncate(0)
            _write(self.stream, given, b"")

    def __enter__(self) -> "Unfinished":
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which stays if it has any block."""
        if self.empty:
            self.file.unlink(missing_ok=True)
        self.stream.close()

    def add(self, block: Block) -> None:
        """Append a block."""
        about = {"changed": block.changed, "unreadable": block.unreadable}
        embeddings = np.ascontiguousarray(block.embeddings, "<f4")
        _write(self.stream, json.dumps(about).encode(), embeddings.tobytes())
        self.empty = False

    def _hold(self) -> None:
        try:
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.stream.close()
            raise InputError(f"another process is writing {self.file}; wait for it, or end it") from error
        except OSError:  # a file system without locks
            pass

    def _read(self) -> Iterator[Block]:
        """Read the blocks that are whole, and cut off what comes after them."""
        end = self.stream.tell()
        for about, embeddings in _parts(self.stream):
            try:
                block = _block(about, embeddings, self.dimension)
            except (ValueError, TypeError, KeyError):  # not as `add` writes it
                break
            end = self.stream.tell()
            yield block
        self.stream.truncate(end)


def _block(about: bytes, embeddings: bytes, dimension: int) -> Block:
    """Make a block of what a file holds; ValueError, TypeError or KeyError unless it is one."""
    record = files.parsed(about.decode())
    unreadable = [Unreadable(*map(str, each)) for each in record["unreadable"]]
    changed = {name: int(when) for name, when in record["changed"].items()}
    rows = np.frombuffer(embeddings, "<f4").reshape(-1, dimension)
    block = Block(changed, unreadable, rows)
    if len(block.names) != len(rows) or not space.is_usable(rows).all():
        raise ValueError("embeddings must be finite, and one for each picture that can be read")
    return block


def _write(stream: BinaryIO, about: bytes, embeddings: bytes) -> None:
    content = _SIZES.pack(len(about), len(embeddings)) + about + embeddings
    stream.write(hashlib.sha256(content).digest() + content)
    stream.flush()


def _parts(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Read blocks until one is not whole."""
    while len(head := stream.read(_HASH + _SIZES.size)) == _HASH + _SIZES.size:
        sizes = _SIZES.unpack(head[_HASH:])
        if max(sizes) > _LARGEST:
            return
        about, embeddings = map(stream.read, sizes)
        if hashlib.sha256(head[_HASH:] + about + embeddings).digest() != head[:_HASH]:
            return
        yield about, embeddings
