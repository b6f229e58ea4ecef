"""Embedding a whole source into a file of embeddings."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import tqdm

from jaxembed.core.errors import InputError
from jaxembed.embed import index, vectors
from jaxembed.embed.vectors import About, Spool, Vectors

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.sources import Chunk, Originals

# Neighbours per image in a .parquet file.
NEIGHBOURS = 10


def check(count: int, file: Path) -> None:
    """Raise an InputError if what writes so many embeddings into a file is not installed."""
    if file.suffix == ".parquet":
        index.check(count)


def fill(spool: Spool, encoder: "Encoder", source: "Originals") -> Vectors:
    """Embed all pictures into a spool; InputError if no picture can be read."""
    for chunk in chunks(encoder, source):
        if chunk.names:
            spool.add(chunk.names, chunk.labels, encoder.embed_pixels(chunk.pixels))
    if not spool.names:
        raise InputError(f"none of the {source.count} pictures in {source.name} can be read")
    return spool.vectors(About(source.name, encoder.name, encoder.saved.sha256, encoder.distance))


def chunks(encoder: "Encoder", source: "Originals") -> "Iterator[Chunk]":
    """Read all pictures as an encoder takes them, with a progress bar."""
    bar = tqdm.tqdm(total=source.count, desc="embedding", unit=" images", disable=None)
    with bar, contextlib.closing(source.stream(encoder.preparation)) as stream:
        for chunk in stream:
            yield chunk
            bar.update(len(chunk.names) + len(chunk.unreadable))


def write(embedded: Vectors, file: Path, thumbnail: Callable[[str], bytes] | None = None) -> None:
    """Write embeddings in the format of the file's suffix; a .parquet may have thumbnails."""
    if file.suffix == ".npz":
        vectors.write_npz(embedded, file)
        return
    from jaxembed.embed import projection

    embeddings, distance = embedded.embeddings, embedded.about.distance
    neighbours = index.neighbours_of_all(index.make(embeddings, distance=distance), NEIGHBOURS)
    positions = projection.project(embeddings, distance=distance)
    vectors.write_parquet(embedded._replace(positions=positions), neighbours, file, thumbnail)
