"""A folder of pictures: its sub-folders are the classes; without sub-folders the images are unlabelled."""

import math
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tqdm

from jaxembed import datasets, pictures
from jaxembed.core import files
from jaxembed.core.bounds import Portion, Positive
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import layout, omitted, pixels, tree
from jaxembed.datasets.storage.classes import AUTO, choose
from jaxembed.datasets.storage.layout import Layout
from jaxembed.datasets.storage.omitted import Omitted
from jaxembed.pictures import Shape, Unreadable, kinds
from jaxembed.types import Batch, Published

SMALLEST = dict(path="docs/results", size=8, test=0.3)
# Unreadable pictures that are named.
_SHOWN = 10


class Listing(NamedTuple):
    """The pictures in a folder, sorted by name.

    Attributes:
      root: the folder.
      names: paths relative to the folder, with forward slashes.
      classes: names of the class sub-folders; empty if unlabelled.
      labels: [n] the class index of each picture, -1 if unlabelled.
      splits: the split of each top-level folder that is one; empty if there are none.
    """

    root: Path
    names: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray
    splits: dict[str, str]

    def subset(self, rows: np.ndarray) -> "Listing":
        """Select some of the pictures."""
        return self._replace(names=[self.names[row] for row in rows], labels=self.labels[rows])


def load(
    name: str,
    data_dir: str | None,
    resident: float = float("inf"),
    *,
    path: str,
    size: Positive,
    channels: Literal[1, 3] = 3,
    test: Portion = 0.0,
    classes: str = AUTO,
) -> Published:
    """Load the pictures in a folder and its sub-folders.

    The sub-folders are the classes, or the splits if one is called `train`, by the rules of docs/extend.md; what
    was decided, and which files are not used, is printed. Pictures are resized and centre-cropped. Files that
    cannot be read are skipped and reported.

    Args:
      name: the name that the config gives; every folder loads alike.
      data_dir: ignored, because `path` is the folder.
      resident: GB of decoded train images that may be in memory; if there are more, they stay in their cache.
      path: the folder's path.
      size: the height and width of an image, in pixels.
      channels: 3 for RGB, 1 for grey.
      test: the number or fraction of the pictures to hold out as the test split; it has no effect if the folder
        has splits. The choice depends only on the names, so all seeds have the same test split.
      classes: what the classes are: the sub-folders, unless all are called like dates or exports ("auto"), or in
        any case ("folders"); "none"; or a .csv with the columns `name`, the picture's path inside, and `class`.

    Raises:
      InputError: if there is no such folder, its sub-folders have two readings, it has no pictures, or most of its
        pictures cannot be read.
    """
    listing = scan(files.expanded(path), what="config.data.path", chosen=classes)
    limit = resident * 1e9
    images, rows, unreadable, dark = pixels.load(
        listing.root, listing.names, Shape(size, size, channels), limit=limit
    )
    report(unreadable, dark, path, len(listing.names))
    _check_most(unreadable, path, len(listing.names))
    listing = listing.subset(rows)
    splits = _split(listing, test)
    if not len(splits["train"]):
        raise InputError(f"no training images left in {path} (of {len(listing.names)})")
    taken = {split: images.subset(rows) for split, rows in splits.items() if len(rows)}
    on_disk = {"train"} if math.prod(taken["train"].shape) > limit else set()
    batches = dict.fromkeys(splits) | {
        split: Batch(each if split in on_disk else each[:], listing.labels[splits[split]])
        for split, each in taken.items()
    }
    names = {split: tuple(listing.names[row] for row in rows) for split, rows in splits.items()}
    title = listing.root.resolve().name
    return Published(listing.classes, **batches, names=names, title=files.printable(title))


def scan(root: Path, *, what: str, chosen: str = AUTO) -> Listing:
    """List the pictures in a folder and its sub-folders, and print how they are divided and what is not used.

    Raises:
      InputError: if there is no such folder, it has no pictures, or its sub-folders have two readings; `what` names
        the option in the error.
    """
    _check(root, what)
    found = tree.walk(root, what=what)
    if not found.pictures:
        extensions = ", ".join(sorted(kinds.extensions()))
        unused = f"; not used: {omitted.describe(found.omitted)}" if found.omitted else ""
        wanted = f"expected files with no extension or one of {extensions}"
        raise InputError(f"{what}: no images in {files.printable(root)}; {wanted}{unused}")
    decided = choose(layout.decide(found, what=what), chosen, what="config.data.classes")
    print(_summary(root, decided, [*found.omitted, *decided.omitted]), file=sys.stderr)
    labels = np.array(decided.labels, np.int32)
    return Listing(root, decided.names, decided.classes, labels, decided.splits)


def report(unreadable: Sequence[Unreadable], dark: Sequence[tuple[str, str]], path: str | Path, count: int) -> None:
    """Print which of a folder's pictures cannot be read, or are nearly black.

    Args:
      unreadable: those that cannot be read, of which the first are named.
      dark: name, and bits used, of each that is nearly black.
      path: the folder.
      count: how many pictures it has.
    """
    lines = list(map(str, unreadable[:_SHOWN]))
    if len(unreadable) > _SHOWN:
        lines.append(f"skipping {len(unreadable) - _SHOWN} more")
    if unreadable:
        lines.append(f"{len(unreadable)} of {count} pictures in {files.printable(path)} cannot be read")
    if dark:
        lines.append(pictures.dark_line(dark))
    for line in lines:
        tqdm.tqdm.write(line, file=sys.stderr)  # above a bar, if there is one


def _check_most(unreadable: Sequence[Unreadable], path: str, count: int) -> None:
    if 2 * len(unreadable) > count:
        counts = f"{len(unreadable)} of {count}"
        raise InputError(f"most pictures in {files.printable(path)} cannot be read: {counts}")


def _check(root: Path, what: str) -> None:
    """Raise an InputError if there is no such folder."""
    problem = "is a file"
    try:
        if stat.S_ISDIR(root.stat().st_mode):
            return
    except PermissionError:
        problem = "cannot be opened: permission denied"
    except (OSError, ValueError):  # a path with a zero byte
        problem = "does not exist"
    raise InputError(f"{what} must be a folder of pictures; {files.printable(root)} {problem}")


def _summary(root: Path, decided: Layout, left: Sequence[Omitted]) -> str:
    """Write one line on a folder: its pictures, how they are divided, and what is not used."""
    parts = [f"{files.printable(root)}: {len(decided.names):,} pictures", *decided.remarks]
    if decided.splits:
        splits = (f"{split} ({files.printable(each)})" for each, split in decided.splits.items())
        parts.append(f"splits: {', '.join(splits)}")
    if left:
        parts.append(f"not used: {omitted.describe(left)}")
    return "; ".join(parts)


def _split(listing: Listing, test: float) -> dict[str, np.ndarray]:
    """Divide the pictures into splits: split name -> rows."""
    if not listing.splits:
        held_out = datasets.portion(test, len(listing.names), what="config.data.test")
        order = datasets.by_name(listing.names, salt="test")
        return {"train": np.sort(order[held_out:]), "validation": order[:0], "test": np.sort(order[:held_out])}
    splits = [listing.splits[name.partition("/")[0]] for name in listing.names]
    return {
        split: np.array([row for row, each in enumerate(splits) if each == split], int) for split in layout.SPLITS
    }
