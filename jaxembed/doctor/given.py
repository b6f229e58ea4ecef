"""What is examined of a file of vectors: a dataset with its splits, labels and, if there are any, pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from jaxembed import pictures
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import naming
from jaxembed.embed.vectors import Vectors
from jaxembed.pictures import Preparation, Shape
from jaxembed.types import Batch, Dataset

if TYPE_CHECKING:
    from jaxembed.embed.sources import Album

# Pictures are compared and drawn at this size.
SHAPE = Shape(64, 64, 3)


class Thumbnails:
    """The pictures of some rows as images [n, h, w, c], read when they are indexed.

    One that cannot be read is noise, which is like no other.

    Attributes:
      shape: the shape of all of them.
      unreadable: why pictures that were asked for cannot be read, by name.
    """

    def __init__(self, album: "Album", names: Sequence[str], unreadable: dict[str, str]) -> None:
        """Take the pictures with these names; what cannot be read is added to `unreadable`."""
        self.album, self.names, self.unreadable = album, names, unreadable
        self.shape = (len(names), *SHAPE)

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "m h w c"]:
        """Read the pictures of some rows."""
        return np.stack([self._read(row) for row in np.asarray(rows).tolist()])

    def _read(self, row: int) -> UInt8[np.ndarray, "h w c"]:
        if (name := self.names[row]) not in self.unreadable:
            try:
                return pictures.to_pixels(self.album.picture(name), Preparation(SHAPE))
            except (OSError, ValueError, InputError) as error:
                self.unreadable[name] = files.line(str(error))
        return np.random.default_rng(row).integers(0, 256, SHAPE, np.uint8)


def dataset(
    embedded: Vectors, album: "Album | None", unreadable: dict[str, str]
) -> tuple[Dataset, dict[str, Float[np.ndarray, "n d"]]]:
    """Make a dataset of vectors, in the splits that their names begin with, else in one.

    Args:
      embedded: the vectors.
      album: their pictures; None if there are none.
      unreadable: where the pictures that cannot be read are collected, and why, by name.

    Returns:
      the dataset, and the embeddings of its splits.
    """
    splits = np.array(naming.splits(embedded.names) or ["train"] * len(embedded.names))
    classes = tuple(sorted({*embedded.labels} - {""}))
    numbers = {name: number for number, name in enumerate(classes)} | {"": -1}
    if 0 < (count := sum(not label for label in embedded.labels)) < len(embedded.labels):
        line = f"{count:,} of {len(embedded.labels):,} images have no label, so labels are not examined"
        print(f"doctor: {line}", file=sys.stderr)
    batches, embeddings, names = {}, {}, {}
    for split in ("train", "validation", "test"):
        if not len(rows := np.flatnonzero(splits == split)):
            continue
        named = [embedded.names[row] for row in rows]
        images = None if album is None else Thumbnails(album, named, unreadable)
        batches[split] = Batch(images, np.array([numbers[embedded.labels[row]] for row in rows], np.int32))
        embeddings[split], names[split] = np.asarray(embedded.embeddings[rows]), np.array(named, object)
    held_out = {split: batches.get(split) for split in ("validation", "test")}
    title = Path(embedded.about.source or embedded.about.encoder).name
    return Dataset(title, classes, batches["train"], **held_out, names=names), embeddings
