"""Renewal: a file of vectors after its folder has changed; only new and changed pictures are embedded."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxembed.core.errors import InputError
from jaxembed.embed import fill, vectors
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.sources import Folder, Originals
from jaxembed.embed.vectors import About, Spool, Vectors

# Embeddings that are copied at a time.
_BLOCK = 4096


class Renewed(NamedTuple):
    """The vectors of a folder, and how many were embedded, were kept, and belong to pictures that are gone."""

    vectors: Vectors
    embedded: int
    kept: int
    gone: int


def renew(spool: Spool, encoder: Encoder, source: Originals, file: Path) -> Renewed:
    """Bring vectors up to date with their folder.

    A picture has changed if its file, or what the system notes of it, is newer than the file of vectors.

    Args:
      spool: takes all embeddings, in the order of the folder.
      encoder: the encoder that the vectors were written with.
      source: the folder.
      file: the vectors.

    Raises:
      InputError: if the source is no folder, or the file is not of this folder and this encoder.
    """
    if not isinstance(source, Folder):
        raise InputError(f"--update needs a folder of pictures, got the dataset {source.name}")
    known = vectors.read(file)
    vectors.check_encoder(known, encoder, file)
    if known.about.source != source.name:
        raise InputError(f"{file} has the pictures of {known.about.source}, not those of {source.name}")
    rows, written = {name: row for row, name in enumerate(known.names)}, file.stat().st_mtime_ns
    names = source.listing.names
    kept = {name for name in names if name in rows and _changed(source.file(name)) < written}
    new = _embedded(encoder, source.only([row for row, name in enumerate(names) if name not in kept]))
    classes, labels = source.listing.classes, source.listing.labels
    there = [row for row, name in enumerate(names) if name in kept or name in new]
    for start in range(0, len(there), _BLOCK):
        some = there[start : start + _BLOCK]
        spool.add(
            [names[row] for row in some],
            [classes[labels[row]] if classes else "" for row in some],
            np.stack(
                [new[names[row]] if names[row] in new else known.embeddings[rows[names[row]]] for row in some]
            ),
        )
    if not there:
        raise InputError(f"none of the {source.count} pictures in {source.name} can be read")
    about = About(source.name, encoder.name, encoder.saved.sha256, encoder.distance)
    return Renewed(spool.vectors(about), len(new), len(kept), len(rows.keys() - set(names)))


def _embedded(encoder: Encoder, source: Folder) -> dict[str, np.ndarray]:
    """Embed some pictures: name -> embedding; those that cannot be read are named, and left out."""
    found: dict[str, np.ndarray] = {}
    if not source.count:
        return found
    for chunk in fill.chunks(encoder, source):
        if chunk.names:
            found |= dict(zip(chunk.names, encoder.embed_pixels(chunk.pixels), strict=True))
    return found


def _changed(file: Path) -> int:
    about = os.stat(file)
    return max(about.st_mtime_ns, about.st_ctime_ns)
