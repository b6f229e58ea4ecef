"""Renewal: a file of vectors after its folder has changed; only new and changed pictures are embedded."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxembed.core.errors import InputError
from jaxembed.datasets import folder
from jaxembed.embed import fill, vectors
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.sources import Folder, Originals
from jaxembed.embed.unfinished import Block, Unfinished
from jaxembed.embed.vectors import About, Spool, Vectors

# Embeddings that are copied at a time.
_BLOCK = 4096


class Renewed(NamedTuple):
    """The vectors of a folder.

    Attributes:
      vectors: the vectors.
      embedded: how many were embedded.
      kept: how many were in the file.
      gone: how many of the file belong to pictures that are gone.
      unfinished: the file from which an update resumes, to be removed once the vectors are written.
    """

    vectors: Vectors
    embedded: int
    kept: int
    gone: int
    unfinished: Path


def renew(spool: Spool, encoder: Encoder, source: Originals, file: Path) -> Renewed:
    """Bring vectors up to date with their folder, or embed all of it if there are none.

    A picture has changed if its file, or what the system notes of it, is newer than the file of vectors. What has
    been embedded is kept in a second file, from which an update that was killed resumes; the vectors are then the
    same as without the kill.

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
    known = _known(encoder, source, file) if file.exists() else None
    rows = {name: row for row, name in enumerate(known.names)} if known else {}
    names, written = source.listing.names, file.stat().st_mtime_ns if known else 0
    changed = {name: _changed(source.file(name)) for name in names}
    kept = {name for name in names if name in rows and changed[name] < written}
    with Unfinished(file, encoder, source.name) as unfinished:
        wanted = {name: changed[name] for name in names if name not in kept}
        new = _embedded(encoder, source, wanted, unfinished)
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
    gone = len(rows.keys() - set(names))
    return Renewed(spool.vectors(about), len(new), len(kept), gone, unfinished.file)


def _known(encoder: Encoder, source: Folder, file: Path) -> Vectors:
    """Read the vectors to update; InputError if they are not of this folder and this encoder."""
    known = vectors.read(file)
    vectors.check_encoder(known, encoder, file)
    if known.about.source != source.name:
        raise InputError(f"{file} has the pictures of {known.about.source}, not those of {source.name}")
    return known


def _embedded(
    encoder: Encoder, source: Folder, wanted: Mapping[str, int], unfinished: Unfinished
) -> dict[str, np.ndarray]:
    """Embed pictures: name -> embedding; those that cannot be read are named, and left out.

    Args:
      encoder: the encoder.
      source: the folder.
      wanted: when each of the pictures had last changed, by name.
      unfinished: what an earlier update has embedded; takes what is embedded now.
    """
    found, unreadable, read = {}, [], set()
    for block in unfinished.blocks:
        same = {name for name, when in block.changed.items() if wanted.get(name) == when}
        found |= {name: row for name, row in zip(block.names, block.embeddings, strict=True) if name in same}
        unreadable += [each for each in block.unreadable if each.file in same]
        read |= same
    if read:
        print(f"resuming: {len(read):,} of {len(wanted):,} pictures have been read before")
    folder.report(unreadable, [], source.name, source.count)
    rest = source.only([row for row, name in enumerate(source.listing.names) if name in wanted.keys() - read])
    for chunk in fill.chunks(encoder, rest) if rest.count else ():
        embeddings = encoder.embed_pixels(chunk.pixels) if chunk.names else np.zeros((0, encoder.dimension))
        names = [*chunk.names, *(each.file for each in chunk.unreadable)]
        unfinished.add(Block({name: wanted[name] for name in names}, chunk.unreadable, embeddings))
        found |= dict(zip(chunk.names, embeddings, strict=True))
    return found


def _changed(file: Path) -> int:
    about = os.stat(file)
    return max(about.st_mtime_ns, about.st_ctime_ns)
