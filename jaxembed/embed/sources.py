"""Originals: the pictures that were embedded, in a folder or a dataset."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxembed import datasets, pictures
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets import folder
from jaxembed.pictures import Shape, Unreadable

# Pictures held in memory at a time, at the encoder's shape.
CHUNK = 512


class Chunk(NamedTuple):
    """Some of the pictures, in order.

    Attributes:
      names: names of the pictures.
      labels: class name of each picture, "" if unlabelled.
      pixels: their pixels, at the encoder's shape.
      unreadable: files among them that cannot be read.
    """

    names: list[str]
    labels: list[str]
    pixels: UInt8[np.ndarray, "n h w c"]
    unreadable: list[Unreadable]


class Originals(NamedTuple):
    """A source of pictures, by name.

    Attributes:
      name: absolute path of the folder, or the dataset name.
      count: number of pictures, including unreadable ones.
      stream: function from a shape to all pictures, in chunks, in order.
      picture: function from a name to the original picture in RGB; raises OSError, ValueError or InputError if it
        cannot be read.
    """

    name: str
    count: int
    stream: Callable[[Shape], Iterator[Chunk]]
    picture: Callable[[str], Image.Image]


def open_source(source: str, *, data_dir: str | None = None) -> Originals:
    """Open a folder of pictures, or a dataset by its name.

    Raises:
      InputError: if there is no such folder or dataset, or the folder has no pictures.
    """
    path = files.expanded(source)
    if path.is_dir():
        return _open_folder(path)
    if path.exists() or len(path.parts) > 2 or path.is_absolute():
        problem = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{source} {problem}; expected a folder of pictures or a dataset name")
    try:
        return _open_dataset(source, data_dir)
    except InputError as error:
        raise InputError(f"{source} is not a folder, and loading it as a dataset failed: {error}") from error


def section(source: str, shape: Shape) -> dict[str, Any]:
    """Return the section of a config, config.data, that loads a folder of pictures or a dataset by its name.

    Args:
      source: path of the folder, or the dataset name.
      shape: the shape to decode a folder's pictures to; a dataset's images have their own.
    """
    if (path := files.expanded(source)).is_dir():
        return {"name": "folder", "path": str(path), "size": shape.height, "channels": shape.channels}
    return {"name": source}


def _open_folder(path: Path) -> Originals:
    listing = folder.scan(path, what="source")

    def stream(shape: Shape) -> Iterator[Chunk]:
        paths = (listing.root / name for name in listing.names)
        results = enumerate(pictures.stream(paths, shape))
        while chunk := list(itertools.islice(results, CHUNK)):
            unreadable = [
                result._replace(file=listing.names[row])
                for row, (_, result) in chunk
                if isinstance(result, Unreadable)
            ]
            readable = [(row, result) for row, (_, result) in chunk if not isinstance(result, Unreadable)]
            names = [listing.names[row] for row, _ in readable]
            labels = [listing.classes[listing.labels[row]] if listing.classes else "" for row, _ in readable]
            pixels = np.stack([result for _, result in readable]) if readable else np.zeros((0, *shape), np.uint8)
            yield Chunk(names, labels, pixels, unreadable)

    def picture(name: str) -> Image.Image:
        # Names are read from a file of embeddings, which may be from an untrusted source.
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{files.printable(name)} is not inside {path}")
        return pictures.open_rgb(listing.root / name)

    return Originals(str(path.resolve()), len(listing.names), stream, picture)


def _open_dataset(name: str, data_dir: str | None) -> Originals:
    if name == "folder":
        raise InputError("'folder' is not a dataset name here; pass the path of the folder")
    dataset = datasets.load({"name": name, "validation": 0}, data_dir=data_dir, seed=0)
    splits = {split: getattr(dataset, split) for split in ("train", *dataset.held_out)}

    def stream(shape: Shape) -> Iterator[Chunk]:
        for split, batch in splits.items():
            for start in range(0, len(batch.labels), CHUNK):
                images, labels = (array[start : start + CHUNK] for array in batch)
                if images.shape[1:] != shape:
                    images = np.stack([pictures.to_pixels(pictures.from_array(image), shape) for image in images])
                names = [f"{split}/{row}" for row in range(start, start + len(images))]
                yield Chunk(names, [dataset.classes[label] for label in labels], images, [])

    def picture(name: str) -> Image.Image:
        split, _, row = name.partition("/")
        return pictures.from_array(splits[split].images[int(row)]).convert("RGB")

    return Originals(name, sum(len(batch.labels) for batch in splits.values()), stream, picture)
