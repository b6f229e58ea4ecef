"""The subject: what the doctor examines, a folder, a dataset or a file of vectors, and where its pictures are."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from jaxembed import datasets
from jaxembed.artifacts import identity
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.doctor import examination, given
from jaxembed.embed import frozen, sources, stored, vectors
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.sources import Pictures


class Examined(NamedTuple):
    """What was examined, and what was found.

    Attributes:
      found: the tables.
      title: what was examined, by what.
      distance: the distance that images were compared by.
      album: the folder of the pictures; None if they are not in one.
      names: the names of the pictures in the folder, by those in the tables.
    """

    found: Diagnosis
    title: str
    distance: str
    album: Pictures | None
    names: dict[str, str]

    def file(self, name: str) -> Path:
        """Return the file of a picture by its name in the tables; InputError if it would be outside the folder."""
        return self.album.file(self.names[name])

    def picture(self, name: str) -> Image.Image:
        """Read a picture by its name in the tables, as `Album.picture`."""
        return self.album.picture(self.names[name])


def of_arguments(asked: Any) -> Examined:
    """Examine what a command's arguments ask for; InputError if there is no such encoder, folder or file."""
    encoder = frozen.of_arguments(asked)
    of = _of_vectors if asked.source and vectors.is_file(asked.source) else _of_encoder
    return of(encoder, asked)


def _of_encoder(encoder: Encoder, asked: Any) -> Examined:
    """Examine a folder of pictures, or a dataset."""
    if asked.source:
        section = sources.section(asked.source, encoder.preparation)
        if section["name"] == "folder":  # no test split other than that of a folder train and a folder test
            section["test"] = 0
    else:
        section = identity.with_tuples(encoder.data)
    # Which train images a run held out for validation makes no difference here.
    dataset = datasets.load(section | {"validation": 0}, data_dir=asked.data_dir, seed=0)
    dataset = encoder.convert(dataset)
    distance = asked.distance or encoder.distance
    found = examination.examine(dataset, encoder.embed_splits(dataset), distance=distance)
    folder = Pictures(files.expanded(section["path"])) if section["name"] == "folder" else None
    splits = [split for split in ("train", "validation", "test") if getattr(dataset, split) is not None]
    names = _shown({split: dataset.names_of(split) for split in splits}) if folder else {}
    return Examined(found, f"{encoder.name} on {dataset.name}", distance, folder, names)


def _of_vectors(encoder: Encoder | None, asked: Any) -> Examined:
    """Examine a file of vectors, as `_of_encoder`."""
    embedded = stored.read(files.expanded(asked.source), asked, encoder)
    try:
        album = sources.of_vectors(embedded, images=asked.images, data_dir=asked.data_dir)
    except InputError as error:
        if asked.images is not None:
            raise
        print(f"doctor: no pictures: {files.line(str(error))}", file=sys.stderr)
        album = None
    unreadable: dict[str, str] = {}
    dataset, embeddings = given.dataset(embedded, album, unreadable)
    found = examination.examine(dataset, embeddings, distance=embedded.about.distance)
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        more = ", …" if len(unreadable) > 1 else ""
        line = f"{len(unreadable):,} pictures cannot be read: {files.printable(name)} ({reason}){more}"
        print(f"doctor: {line}; drawn as noise", file=sys.stderr)
    about = embedded.about
    title = f"{about.encoder} on {dataset.name}" if about.source else about.encoder
    folder = album if isinstance(album, Pictures) else None
    names = _shown({split: dataset.names_of(split) for split in embeddings}) if folder else {}
    return Examined(found, title, about.distance, folder, names)


def _shown(names: Mapping[str, Iterable[Any]]) -> dict[str, str]:
    """Return the names of the pictures in their folder, by those in the tables."""
    return {examination.shown(split, str(name)): str(name) for split, each in names.items() for name in each}
