"""A folder of pictures: its sub-folders are the classes; without sub-folders the images are unlabelled."""

import collections
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tqdm

from jaxembed import datasets, pictures
from jaxembed.core import files, npz
from jaxembed.core.bounds import Portion, Positive
from jaxembed.core.errors import InputError
from jaxembed.core.npz import Arrays
from jaxembed.datasets.storage import cache
from jaxembed.pictures import Shape, Unreadable
from jaxembed.types import Batch, Published

SMALLEST = dict(path="docs/results", size=8, test=0.3)
# Folder names of the splits, which are used only if there is a top-level `train` folder.
SPLITS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
# Unreadable pictures that are named.
_SHOWN = 10
_FORMAT = 1  # of the cache; increase it when decoding changes


class Listing(NamedTuple):
    """The pictures in a folder, sorted by name.

    Attributes:
      root: the folder.
      names: paths relative to the folder, with forward slashes.
      classes: names of the class sub-folders; empty if unlabelled.
      labels: [n] the class index of each picture, -1 if unlabelled.
    """

    root: Path
    names: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray

    def subset(self, rows: np.ndarray) -> "Listing":
        """Select some of the pictures."""
        return self._replace(names=[self.names[row] for row in rows], labels=self.labels[rows])


def load(
    name: str,
    data_dir: str | None,
    *,
    path: str,
    size: Positive,
    channels: Literal[1, 3] = 3,
    test: Portion = 0.0,
) -> Published:
    """Load the pictures in a folder and its sub-folders.

    The sub-folders are the classes. If there are no sub-folders, or an image lies outside them, the images are
    unlabelled. If there is a top-level folder `train`, it and the folders `val` and `test` are the splits, and
    their sub-folders are the classes. Pictures are resized and centre-cropped. Files that cannot be read are
    skipped and reported.

    Args:
      name: the name that the config gives; every folder loads alike.
      data_dir: ignored, because `path` is the folder.
      path: the folder's path.
      size: the height and width of an image, in pixels.
      channels: 3 for RGB, 1 for grey.
      test: the number or fraction of the pictures to hold out as the test split; it has no effect if there is a
        top-level folder `train`. The choice depends only on the names, so all seeds have the same test split.

    Raises:
      InputError: if there is no such folder, it has no pictures, or most of its pictures cannot be read.
    """
    listing = scan(files.expanded(path), what="config.data.path")
    arrays, unreadable = _load(listing, Shape(size, size, channels))
    for each in unreadable[:_SHOWN]:
        print(each, file=sys.stderr)
    if len(unreadable) > _SHOWN:
        print(f"skipping {len(unreadable) - _SHOWN} more", file=sys.stderr)
    counts = f"{len(unreadable)} of {len(listing.names)}"
    if unreadable:
        print(f"{counts} pictures in {path} cannot be read", file=sys.stderr)
    if 2 * len(unreadable) > len(listing.names):
        raise InputError(f"most pictures in {path} cannot be read: {counts}")
    listing = listing.subset(arrays["rows"])
    splits = _split(listing, test)
    if not len(splits["train"]):
        raise InputError(f"no training images left in {path} (of {len(listing.names)})")
    batches = {
        split: Batch(arrays["images"][rows], listing.labels[rows]) if len(rows) else None
        for split, rows in splits.items()
    }
    names = {split: tuple(listing.names[row] for row in rows) for split, rows in splits.items()}
    title = listing.root.resolve().name
    return Published(listing.classes, **batches, names=names, title=files.printable(title))


def scan(root: Path, *, what: str) -> Listing:
    """List the pictures in a folder and its sub-folders: files with a picture extension or none.

    Raises:
      InputError: if there is no such folder, it has no pictures, or two classes look the same; `what` names the
        option in the error.
    """
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{what} must be a folder of pictures; {root} {problem}")
    names = sorted(_walk(root))
    if not names:
        extensions = ", ".join(sorted(pictures.extensions()))
        raise InputError(f"{what}: no images in {root}; expected files with no extension or one of {extensions}")
    inside = [_inside(name, in_splits=_has_splits(root)).split("/") for name in names]
    # An image outside the sub-folders has no class, so the sub-folders are not classes.
    classes = sorted({parts[0] for parts in inside}) if all(len(parts) > 1 for parts in inside) else []
    printed = tuple(map(files.printable, classes))
    if len(set(printed)) < len(printed):
        ((twice, _),) = collections.Counter(printed).most_common(1)
        raise InputError(f"{what} must have class folders whose names differ when printed; several are {twice!r}")
    label_of = {each: label for label, each in enumerate(classes)}
    labels = np.array([label_of.get(parts[0], -1) for parts in inside], np.int32)
    return Listing(root, names, printed, labels)


def _walk(root: Path) -> Iterator[str]:
    """Yield the relative paths of the pictures below a folder; symlinks are followed, hidden files are skipped."""
    seen = set()
    for folder, folders, files_here in os.walk(root, followlinks=True):
        status = os.stat(folder)
        # Symlink loop.
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in files_here:
            extension = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and (not extension or extension in pictures.extensions()):
                yield Path(folder, name).relative_to(root).as_posix()


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir()


def _inside(name: str, *, in_splits: bool) -> str:
    """Return a picture's path relative to the folder of its split."""
    first, _, rest = name.partition("/")
    return rest if in_splits and any(first in folders for folders in SPLITS.values()) else name


def _split(listing: Listing, test: float) -> dict[str, np.ndarray]:
    """Divide the pictures into splits: split name -> rows."""
    if not _has_splits(listing.root):
        held_out = datasets.portion(test, len(listing.names), what="config.data.test")
        order = datasets.by_name(listing.names, salt="test")
        return {"train": np.sort(order[held_out:]), "validation": order[:0], "test": np.sort(order[:held_out])}
    firsts = [name.partition("/")[0] for name in listing.names]
    return {
        split: np.array([row for row, first in enumerate(firsts) if first in folders], int)
        for split, folders in SPLITS.items()
    }


def _load(listing: Listing, shape: Shape) -> tuple[Arrays, list[Unreadable]]:
    """Decode the pictures or read the cache: (`images` [m, h, w, c] and their `rows`, the unreadable files)."""
    title = f"{listing.root.resolve().name}-{shape.height}x{shape.channels}"
    stem = cache.user_stem(f"folder-{title}", listing.root)

    def check(arrays: Arrays) -> None:
        npz.require(arrays, images=("uint8", (None, *shape)), bad=("str", (None,)))
        n, bad = len(arrays["images"]), len(arrays["bad"])
        npz.require(arrays, rows=("int64", (n,)), reasons=("str", (bad,)))
        rows = arrays["rows"]
        if n + bad != len(listing.names) or (np.diff(rows, prepend=-1, append=len(listing.names)) < 1).any():
            raise ValueError(f"it holds {n} of {len(listing.names)} pictures, or others")

    what = files.printable(listing.root)
    arrays = cache.load([stem], _key(listing), lambda: _decode(listing, shape), what=what, check=check)
    return arrays, list(map(Unreadable, arrays["bad"].tolist(), arrays["reasons"].tolist()))


def _key(listing: Listing) -> str:
    digest = hashlib.sha256(str(_FORMAT).encode())
    for name in listing.names:
        try:
            status = (listing.root / name).stat()
            digest.update(os.fsencode(name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
        except OSError:  # dangling symlink
            digest.update(os.fsencode(name))
    return digest.hexdigest()[:16]


def _decode(listing: Listing, shape: Shape) -> Arrays:
    images, rows, unreadable = np.empty((len(listing.names), *shape), np.uint8), [], []
    paths = (listing.root / name for name in listing.names)
    bar = tqdm.tqdm(
        pictures.stream(paths, shape), total=len(listing.names), desc="decoding", unit=" images", disable=None
    )
    for row, (_, result) in enumerate(bar):
        if isinstance(result, Unreadable):
            unreadable.append((listing.names[row], result.reason))
        else:
            images[len(rows)] = result
            rows.append(row)
    names, reasons = zip(*unreadable, strict=True) if unreadable else ((), ())
    return {
        "images": images[: len(rows)],
        "rows": np.array(rows, np.int64),
        "bad": np.array(names, str),
        "reasons": np.array(reasons, str),
    }
