"""Given: vectors that were made elsewhere, with the images of their dataset where it can be loaded."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxembed import controls, datasets
from jaxembed.core import files, options
from jaxembed.core.errors import InputError
from jaxembed.embed.foreign import Columns
from jaxembed.evaluate.evaluation import Embeddings
from jaxembed.measure import embedded, reference, splits
from jaxembed.measure.embedded import Embedded
from jaxembed.types import Dataset, OnDisk

# What a config.json says of an encoder and an objective that are not known.
UNKNOWN = {"name": "unknown"}


def make(asked: Any) -> Embedded:
    """Read vectors that were made elsewhere."""
    source = files.expanded(asked.vectors)
    if not source.suffix and not source.exists():
        known = controls.names()
        raise InputError(
            f"there is no file or folder {asked.vectors}, and no such control"
            f"{options.nearest(asked.vectors, known)}; controls: {', '.join(known)}"
        )
    like = reference.config(asked.like)
    seed, validation = embedded.divided(asked, like)
    title, columns = asked.dataset or source.stem, Columns(asked.embeddings, asked.names, asked.labels)
    read = splits.read(source, title=title, seed=seed, validation=validation, columns=columns)
    dataset, about = read.dataset, read.about
    if about is not None and not asked.dataset:
        dataset = dataset._replace(
            name=Path(about.source).name if Path(about.source).is_absolute() else about.source
        )
    chosen = like.get("evaluate", embedded.PROTOCOL | ({"distance": about.distance} if about else {}))
    config = {
        "data": {"name": dataset.name, "vectors": read.sha256, "validation": validation},
        "encoder": dict(UNKNOWN),
        "objective": dict(UNKNOWN),
        "train": {},
        "evaluate": embedded.without_views(chosen, asked.distance),
        "seed": seed,
        "name": source.stem,
    }
    pictured = _pictured(dataset, about, asked.data_dir)
    return Embedded(pictured, Embeddings(read.embeddings), config, read.sha256, None)


def _pictured(dataset: Dataset, about: Any, data_dir: str | None) -> Dataset:
    """Add the images of vectors that jaxembed.embed wrote, if their dataset can be loaded."""
    if about is None or dataset.train.images is not None or Path(about.source).is_absolute():
        return dataset
    try:
        source = datasets.load({"name": about.source, "validation": 0}, data_dir=data_dir, seed=0)
        pictured = {
            split: getattr(dataset, split)._replace(images=_images(source, dataset.names_of(split)))
            for split in ("train", *dataset.held_out)
        }
    except InputError as error:
        print(f"measure: no images of {files.printable(about.source)}: {files.line(str(error))}", file=sys.stderr)
        return dataset
    return dataset._replace(**pictured)


def _images(source: Dataset, names: Sequence[str] | np.ndarray) -> Any:
    """Take the images with these names, `<split>/<row>`, all of one split; InputError if there are none."""
    split, _, _ = names[0].partition("/")
    batch = getattr(source, split) if split in ("train", *source.held_out) else None
    rows = [_row(name, split) for name in names]
    for name, row in zip(names, rows, strict=True):
        if batch is None or row is None or row >= len(batch.labels):
            raise InputError(f"names must be <split>/<row> of one split of it, got {files.printable(name)}")
    chosen = np.array(rows)
    return batch.images.subset(chosen) if isinstance(batch.images, OnDisk) else batch.images[chosen]


def _row(name: str, split: str) -> int | None:
    """Return the row in a name `<split>/<row>`; None if it is no such name."""
    there, _, row = name.partition("/")
    return int(row) if there == split and row.isascii() and row.isdecimal() and len(row) < 12 else None
