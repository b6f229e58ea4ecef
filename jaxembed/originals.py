"""Originals: the pictures that vectors were made from, in a folder or in a dataset."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxembed import datasets, files, pictures
from jaxembed.datasets import folder
from jaxembed.errors import InputError
from jaxembed.pictures import Bad, Shape

# Pictures that are in memory at a time, at the encoder's shape.
CHUNK = 512


class Chunk(NamedTuple):
    """Some pictures: their names, their classes ("" without), their pixels, and the files that cannot be read."""

    names: list[str]
    labels: list[str]
    pixels: UInt8[np.ndarray, "n h w c"]
    bad: list[Bad]


class Originals(NamedTuple):
    """Pictures by name.

    Attributes:
      source: the absolute path of a folder, or a dataset's name.
      count: how many there are, bad ones included.
      stream: at a shape, in order.
      picture: name -> the picture itself, upright and in colour; OSError or ValueError if it cannot be read.
    """

    source: str
    count: int
    stream: Callable[[Shape], Iterator[Chunk]]
    picture: Callable[[str], Image.Image]


def find(source: str, *, data_dir: str | None = None) -> Originals:
    """Find pictures: a folder, or else a dataset by its name.

    Raises:
      InputError: if there is neither, or the folder holds no picture.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if path.exists() or len(path.parts) > 2 or path.is_absolute():
        raise InputError(f"{source} must be a folder of pictures or a dataset's name")
    try:
        return _of_dataset(source, data_dir)
    except InputError as error:
        raise InputError(f"there is no folder {source}, and as a dataset: {error}") from error


def _of_folder(path: Path) -> Originals:
    listed = folder.find(path, what="the folder")

    def stream(shape: Shape) -> Iterator[Chunk]:
        paths = (listed.root / name for name in listed.names)
        results = enumerate(pictures.stream(paths, shape))
        while chunk := list(itertools.islice(results, CHUNK)):
            bad = [result._replace(file=listed.names[row]) for row, (_, result) in chunk if isinstance(result, Bad)]
            good = [(row, result) for row, (_, result) in chunk if not isinstance(result, Bad)]
            labels = [listed.classes[listed.labels[row]] if listed.classes else "" for row, _ in good]
            pixels = np.stack([result for _, result in good]) if good else np.zeros((0, *shape), np.uint8)
            yield Chunk([listed.names[row] for row, _ in good], labels, pixels, bad)

    def picture(name: str) -> Image.Image:
        # Names come from a file of vectors, which may have come from anywhere.
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{files.printable(name)} is not inside {path}")
        return pictures.whole(listed.root / name)

    return Originals(str(path.resolve()), len(listed.names), stream, picture)


def _of_dataset(name: str, data_dir: str | None) -> Originals:
    if name == "folder":
        raise InputError("give the folder itself")
    dataset = datasets.load({"name": name, "validation": 0}, data_dir=data_dir, seed=0)
    splits = {split: getattr(dataset, split) for split in ("train", *dataset.held_out)}

    def stream(shape: Shape) -> Iterator[Chunk]:
        for split, batch in splits.items():
            for start in range(0, len(batch.labels), CHUNK):
                images, labels = (array[start : start + CHUNK] for array in batch)
                if images.shape[1:] != shape:
                    images = np.stack([pictures.fit(pictures.array(image), shape) for image in images])
                names = [f"{split}/{row}" for row in range(start, start + len(images))]
                yield Chunk(names, [dataset.classes[label] for label in labels], images, [])

    def picture(name: str) -> Image.Image:
        split, _, row = name.partition("/")
        return pictures.array(splits[split].images[int(row)]).convert("RGB")

    return Originals(name, sum(len(batch.labels) for batch in splits.values()), stream, picture)
