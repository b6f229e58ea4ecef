"""Sources: where pictures to embed come from, a folder or a dataset."""

import contextlib
import copy
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxembed import datasets, pictures
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets import folder
from jaxembed.embed import naming
from jaxembed.embed.vectors import Vectors
from jaxembed.pictures import Converted, Preparation, Shape, Unreadable

# Pictures in a chunk, at most; names by which the folder of the pictures is found.
CHUNK, _TRIED = 256, 100
# Pixels of the longer side of a thumbnail.
SIDE = 256


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


@runtime_checkable
class Album(Protocol):
    """Pictures by name."""

    def picture(self, name: str) -> Image.Image:
        """Read an original picture in RGB; OSError, ValueError or InputError if it cannot be read."""


@runtime_checkable
class Originals(Album, Protocol):
    """A source of pictures to embed.

    Attributes:
      name: absolute path of the folder, or the dataset name.
      count: number of pictures, including unreadable ones.
    """

    name: str
    count: int

    def stream(self, preparation: Preparation) -> Iterator[Chunk]:
        """Read all pictures as pixels, in chunks, in order."""


def open_source(source: str, *, data_dir: str | None = None) -> Originals:
    """Open a folder of pictures, or a dataset by its name.

    Raises:
      InputError: if there is no such folder or dataset, or the folder has no pictures.
    """
    if path := _folder(source):
        return Folder(path)
    try:
        return Named(source, data_dir)
    except InputError as error:
        raise InputError(f"{source} is not a folder, and loading it as a dataset failed: {error}") from error


def of_vectors(embedded: Vectors, *, images: str | None, data_dir: str | None) -> Album:
    """Open the pictures of a file of embeddings: those in a folder, else where the file says they are, and say so.

    Args:
      embedded: what the file holds, which a stranger may have written.
      images: the folder that the user names; None to believe the file.
      data_dir: of the TFDS datasets; None for the default.

    Raises:
      InputError: if there is no such folder or dataset.
    """
    if images is not None:
        return Pictures(files.expanded(images), embedded.names)
    if not (source := embedded.about.source):
        folder_of_all = Path(*naming.shared(embedded.names))
        where = folder_of_all if folder_of_all.is_absolute() else "FOLDER"
        raise InputError(f"the file does not say where its pictures are; use --images={files.printable(where)}")
    print(f"Pictures: {files.printable(source)}, as the file says; --images=FOLDER for another folder")
    return Pictures(Path(source)) if Path(source).is_absolute() else Named(source, data_dir)


def thumbnail(album: Album, name: str) -> bytes:
    """Make a small picture of an original, as the content of a WebP file; empty if it can no longer be read."""
    try:
        return drawn(album, name, side=SIDE)
    except (OSError, ValueError, InputError):
        return b""


def drawn(album: Album, name: str, *, side: int) -> bytes:
    """Draw an original, with `side` pixels on its longer side at most, as the content of a WebP file.

    Raises:
      Exception: of any kind, if it can no longer be read.
    """
    picture = album.picture(name)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return pictures.as_webp(picture, quality=85)


def section(source: str, preparation: Preparation) -> dict[str, Any]:
    """Return the section of a config, config.data, that loads a folder of pictures or a dataset by its name.

    Args:
      source: path of the folder, or the dataset name.
      preparation: how an encoder prepares pictures. A folder's are decoded so large that `Encoder.convert` can
        prepare them further; a dataset's images have their own size.

    Raises:
      InputError: if it is neither a folder nor a name.
    """
    if path := _folder(source):
        size, channels = preparation.side or preparation.shape.height, preparation.shape.channels
        return {"name": "folder", "path": str(path), "size": size, "channels": channels}
    return {"name": source}


def _folder(source: str) -> Path | None:
    """Return the path of a folder, None for a name; InputError for any other path."""
    path = files.expanded(source)
    if path.is_dir():
        return path
    if path.exists() or len(path.parts) > 2 or path.is_absolute():
        problem = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{source} {problem}; expected a folder of pictures or a dataset name")
    return None


class Pictures:
    """The pictures in a folder, by name only."""

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        """Take the folder; InputError if there is none.

        Args:
          path: the folder.
          names: all names, if the folder may be the place of one of the leading folders that they share.
        """
        if not path.is_dir():
            problem = "is a file" if path.exists() else "does not exist"
            raise InputError(f"the folder of the pictures, {path}, {problem}; use --images=FOLDER")
        self.path = path
        few = [Path(name).parts for name in names[:_TRIED]]
        places = range(len(naming.shared(names)) + 1) if few else range(1)
        there = (cut for cut in places for parts in few if self._is_there(parts[cut:]))
        self.cut = next(there, 0)

    def _is_there(self, parts: Sequence[str]) -> bool:
        return not Path(*parts).is_absolute() and self.path.joinpath(*parts).is_file()

    def file(self, name: str) -> Path:
        """Return the file of a picture; InputError if it would be outside the folder."""
        # Names are read from a file of embeddings, which may be from an untrusted source.
        inside = Path(*Path(name).parts[self.cut :])
        if inside.is_absolute() or ".." in inside.parts:
            raise InputError(f"{files.printable(name)} is not inside {self.path}")
        return self.path / inside

    def picture(self, name: str) -> Image.Image:
        """Read an original picture in RGB."""
        file = self.file(name)
        try:
            return pictures.open_rgb(file)
        except (OSError, ValueError, MemoryError):
            raise
        except Exception as error:  # a damaged file, or one of very many pixels, can raise anything
            raise InputError(files.line(f"{type(error).__name__}: {error}")) from error


class Folder(Pictures):
    """The pictures in a folder; the attributes and methods are those of `Originals`."""

    def __init__(self, path: Path) -> None:
        """List the pictures; InputError if there are none."""
        super().__init__(path)
        self.listing = folder.scan(path, what="source")
        self.name, self.count = str(path.resolve()), len(self.listing.names)

    def only(self, rows: Sequence[int]) -> "Folder":
        """Return the folder as if it had only some of the pictures."""
        some = copy.copy(self)
        some.listing, some.count = self.listing.subset(np.array(rows, int)), len(rows)
        return some

    def stream(self, preparation: Preparation) -> Iterator[Chunk]:
        """Read all pictures as pixels, in chunks, in order; at the end, print which are damaged or nearly black."""
        names, dark, unreadable = self.listing.names, [], []
        results = pictures.stream((self.listing.root / name for name in names), preparation)
        with contextlib.closing(results):
            numbered = enumerate(result for _, result in results)
            for size in _shares(len(names)):
                rows = list(itertools.islice(numbered, size))
                dark += [(names[row], each.dark) for row, each in rows if isinstance(each, Converted) and each.dark]
                chunk = self._chunk(rows, preparation.shape)
                unreadable += chunk.unreadable
                yield chunk
        folder.report(unreadable, dark, self.name, len(names))

    def _chunk(self, results: Sequence[tuple[int, Converted | Unreadable]], shape: Shape) -> Chunk:
        listing = self.listing
        readable = [(row, result) for row, result in results if not isinstance(result, Unreadable)]
        unreadable = [
            result._replace(file=listing.names[row]) for row, result in results if isinstance(result, Unreadable)
        ]
        names = [listing.names[row] for row, _ in readable]
        labels = [listing.classes[listing.labels[row]] if listing.classes else "" for row, _ in readable]
        pixels = (
            np.stack([result.pixels for _, result in readable]) if readable else np.zeros((0, *shape), np.uint8)
        )
        return Chunk(names, labels, pixels, unreadable)


def _shares(count: int) -> list[int]:
    """Divide pictures into chunks of equal size: for a last one of only a few, the encoder would compile again."""
    chunks = -(-count // CHUNK)
    return [(count + chunk) // chunks for chunk in range(chunks)]


class Named:
    """The images of a dataset; the attributes and methods are those of `Originals`."""

    def __init__(self, name: str, data_dir: str | None) -> None:
        """Load the dataset; InputError if there is none with this name."""
        if name == "folder":
            raise InputError("'folder' is not a dataset name here; pass the path of the folder")
        self.dataset = datasets.load({"name": name, "validation": 0}, data_dir=data_dir, seed=0)
        self.splits = {split: getattr(self.dataset, split) for split in ("train", *self.dataset.held_out)}
        self.name, self.count = name, sum(len(batch.labels) for batch in self.splits.values())

    def stream(self, preparation: Preparation) -> Iterator[Chunk]:
        """Read all images as pixels, in chunks, in order."""
        for split, batch in self.splits.items():
            for start in range(0, len(batch.labels), CHUNK):
                images, labels = (array[start : start + CHUNK] for array in batch)
                if images.shape[1:] != preparation.shape:
                    originals = map(pictures.from_array, images)
                    images = np.stack([pictures.to_pixels(original, preparation) for original in originals])
                names = [f"{split}/{row}" for row in range(start, start + len(images))]
                yield Chunk(names, [self.dataset.classes[label] for label in labels], images, [])

    def picture(self, name: str) -> Image.Image:
        """Read an image in RGB."""
        split, _, row = name.partition("/")
        batch = self.splits.get(split)
        if batch is None or not (
            row.isascii() and row.isdecimal() and len(row) < 12 and int(row) < len(batch.labels)
        ):
            raise InputError(f"{self.name} has no image {files.printable(name)}")
        return pictures.from_array(batch.images[int(row)]).convert("RGB")
