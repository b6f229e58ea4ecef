"""The file of an approximate index: a graph that is loaded only if it is whole, and that of these vectors."""

import hashlib
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxembed.core import files

# The first line: the SHA-256 of the vectors, and that of the graph, which follows.
_HEAD = "jaxembed index 1 {} {}\n"
_LINE = re.compile(_HEAD.format("([0-9a-f]{64})", "([0-9a-f]{64})").encode())
# Rows that are hashed at a time.
_BLOCK = 65_536


def fingerprint(points: Float[np.ndarray, "n d"], *, distance: str) -> str:
    """Hash what a graph is made of: the vectors, their dimension and the distance."""
    digest = hashlib.sha256(f"{distance} {points.shape[1]} ".encode())
    for start in range(0, len(points), _BLOCK):
        digest.update(np.ascontiguousarray(points[start : start + _BLOCK]))
    return digest.hexdigest()


def write(graph: bytes, file: Path, *, of: str) -> None:
    """Write a graph atomically, with the `fingerprint` of its vectors."""
    with files.replacing(file) as stream:
        stream.write(_HEAD.format(of, hashlib.sha256(graph).hexdigest()).encode())
        stream.write(graph)


def read(file: Path, *, of: str) -> bytes | None:
    """Read the graph of the vectors with this `fingerprint`; None if the file has another, or is damaged.

    Only such a graph may be given to usearch, which a damaged one makes read any memory.
    """
    if not file.is_file():
        return None
    content = file.read_bytes()
    head = _LINE.match(content)
    graph = memoryview(content)[head.end() if head else 0 :]
    whole = head and head.groups() == (of.encode(), hashlib.sha256(graph).hexdigest().encode())
    return bytes(graph) if whole else None
