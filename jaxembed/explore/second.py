"""A second embedding of the same pictures, whose map is beside the first."""

from pathlib import Path

import numpy as np

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import projection, vectors
from jaxembed.embed.vectors import Vectors
from jaxembed.explore.atlas import Map
from jaxembed.kernels import space


def read(file: Path, embedded: Vectors) -> Map:
    """Read a file of vectors, and map its pictures that have the names of those of another one.

    Raises:
      InputError: if it cannot be read, or has fewer than two of these pictures.
    """
    other = vectors.read(file)
    rows = {name: row for row, name in reversed(list(enumerate(other.names)))}
    shared = [name in rows for name in embedded.names]
    chosen = np.array([rows[name] for name in embedded.names if name in rows], int)
    if len(chosen) < 2:
        first, here = (files.printable(each.names[0]) for each in (other, embedded))
        raise InputError(
            f"{file} must have the same pictures, by name; {len(chosen)} of {len(embedded.names):,} are in both: "
            f"its first is {first}, of the other file {here}"
        )
    print(f"{file}: {len(chosen):,} of {len(embedded.names):,} pictures are in both files")
    found = other.positions
    if found is None:
        print(f"computing the map of {file} by {space.NAMES[other.about.distance]}")
        found = projection.project(np.asarray(other.embeddings)[chosen], distance=other.about.distance)
    else:
        found = np.asarray(found)[chosen]
    positions = np.full((len(shared), 2), np.nan, np.float32)
    positions[np.array(shared)] = found
    return Map(files.printable(other.about.encoder), positions)
