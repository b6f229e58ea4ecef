"""A folder of pictures: its sub-folders are the classes; without sub-folders there are no labels."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tqdm

from jaxembed import cache, datasets, files, pictures
from jaxembed.errors import InputError
from jaxembed.options import Portion, Positive
from jaxembed.pictures import Bad, Shape
from jaxembed.types import Batch, Published

SMALLEST = dict(path="docs/results", size=8, test=0.3)
# The folders that are splits, if the first of them exists, under any of these names.
SPLITS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
_FORMAT = 1  # of the cache; raise it when the same pictures become other pixels


class Listed(NamedTuple):
    """The pictures in a folder, in the order of their names.

    Attributes:
      root: the folder.
      names: their paths in it, with slashes.
      classes: names of the sub-folders; empty without labels.
      labels: [n] the class of each picture, or -1.
    """

    root: Path
    names: list[str]
    classes: tuple[str, ...]
    labels: np.ndarray

    def kept(self, rows: np.ndarray) -> "Listed":
        """Keep some of the pictures."""
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

    The sub-folders are the classes. They may be in folders `train`, `val` and `test`, which are then the splits. If
    there is a picture outside the sub-folders, or there are none, the pictures have no labels. A picture is resized
    so that its shorter side fits, and its middle is kept. A file that cannot be read is skipped and reported.

    Args:
      name: not used.
      data_dir: not used.
      path: of the folder.
      size: height and width of an image, in pixels.
      channels: 3 for colour, 1 for grey.
      test: share or number of the pictures to hold out for the test split, if there is no folder `test`. The choice
        depends only on the names, so that all seeds have the same test split.

    Raises:
      InputError: if there is no such folder, it holds no picture, or most of its pictures cannot be read.
    """
    listed = find(Path(path).expanduser(), what="config.data.path")
    arrays, bad = _decoded(listed, Shape(size, size, channels))
    for each in bad:
        print(each, file=sys.stderr)
    if bad:
        print(f"{len(bad)} of {len(listed.names)} pictures in {path} cannot be read", file=sys.stderr)
    if 2 * len(bad) > len(listed.names):
        raise InputError(f"most pictures in {path} cannot be read: {len(bad)} of {len(listed.names)}")
    listed = listed.kept(arrays["rows"])
    splits = _split(listed, test)
    if not len(splits["train"]):
        raise InputError(f"{path} has no picture left to train on, of {len(listed.names)}")
    batches = {
        split: Batch(arrays["images"][rows], listed.labels[rows]) if len(rows) else None
        for split, rows in splits.items()
    }
    names = tuple(listed.names[row] for row in splits["train"])
    title = listed.root.resolve().name
    return Published(listed.classes, **batches, names=names, title=files.printable(title))


def find(root: Path, *, what: str) -> Listed:
    """List the pictures in a folder and its sub-folders by their suffixes.

    Raises:
      InputError: if there is no such folder, or it holds no picture; `what` names it.
    """
    if not root.is_dir():
        raise InputError(
            f"{what} must be a folder of pictures; {root} is {'a file' if root.exists() else 'not there'}"
        )
    names = sorted(_walk(root))
    if not names:
        suffixes = ", ".join(sorted(pictures.suffixes()))
        raise InputError(f"{what} {root} holds no picture, no file that ends in one of {suffixes}")
    inside = [_inside(name, in_splits=_has_splits(root)).split("/") for name in names]
    # A picture outside the sub-folders has no class; then the sub-folders are not meant as classes.
    classes = sorted({parts[0] for parts in inside}) if all(len(parts) > 1 for parts in inside) else []
    of_class = {each: label for label, each in enumerate(classes)}
    labels = np.array([of_class.get(parts[0], -1) for parts in inside], np.int32)
    return Listed(root, names, tuple(map(files.printable, classes)), labels)


def _walk(root: Path) -> Iterator[str]:
    """Yield the paths of pictures below a folder; links are followed, hidden files and folders are not."""
    seen = set()
    for folder, below, found in os.walk(root, followlinks=True):
        status = os.stat(folder)
        # A link to a folder above it would never end.
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = [name for name in below if not name.startswith((".", "__MACOSX"))]
        for name in found:
            suffix = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and (not suffix or suffix in pictures.suffixes()):
                yield Path(folder, name).relative_to(root).as_posix()


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir()


def _inside(name: str, *, in_splits: bool) -> str:
    """Return a picture's path inside its split's folder."""
    first, _, rest = name.partition("/")
    return rest if in_splits and any(first in folders for folders in SPLITS.values()) else name


def _split(listed: Listed, test: float) -> dict[str, np.ndarray]:
    """Divide the pictures into splits: the split's name -> rows."""
    if not _has_splits(listed.root):
        held_out = datasets.portion(test, len(listed.names), what="config.data.test")
        order = datasets.by_name(listed.names, salt="test")
        return {"train": np.sort(order[held_out:]), "validation": order[:0], "test": np.sort(order[:held_out])}
    firsts = [name.partition("/")[0] for name in listed.names]
    return {
        split: np.array([row for row, first in enumerate(firsts) if first in folders], int)
        for split, folders in SPLITS.items()
    }


def _decoded(listed: Listed, shape: Shape) -> tuple[cache.Arrays, list[Bad]]:
    """Read or decode the pictures: (`images` [m, h, w, c] and their `rows` in the list; the others)."""
    title = f"{listed.root.resolve().name}-{shape.height}x{shape.channels}"
    stem = cache.of_user(f"folder-{title}", listed.root)
    arrays = cache.load([stem], _key(listed), lambda: _decode(listed, shape), what=str(listed.root))
    return arrays, list(map(Bad, arrays["bad"].tolist(), arrays["reasons"].tolist()))


def _key(listed: Listed) -> str:
    digest = hashlib.sha256(str(_FORMAT).encode())
    for name in listed.names:
        try:
            status = (listed.root / name).stat()
            digest.update(os.fsencode(name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
        except OSError:  # a link to nothing
            digest.update(os.fsencode(name))
    return digest.hexdigest()[:16]


def _decode(listed: Listed, shape: Shape) -> cache.Arrays:
    images, rows, bad = np.empty((len(listed.names), *shape), np.uint8), [], []
    paths = (listed.root / name for name in listed.names)
    bar = tqdm.tqdm(
        pictures.stream(paths, shape), total=len(listed.names), desc="decoding", unit=" images", disable=None
    )
    for row, (_, result) in enumerate(bar):
        if isinstance(result, Bad):
            bad.append((listed.names[row], result.reason))
        else:
            images[len(rows)] = result
            rows.append(row)
    names, reasons = zip(*bad, strict=True) if bad else ((), ())
    return {
        "images": images[: len(rows)],
        "rows": np.array(rows, int),
        "bad": np.array(names, str),
        "reasons": np.array(reasons, str),
    }
