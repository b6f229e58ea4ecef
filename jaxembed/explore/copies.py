"""Copies of the originals of a selection, in a folder that the command line names."""

import filecmp
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxembed.core import files, locks
from jaxembed.core.errors import InputError
from jaxembed.embed.sources import Album, Pictures


def check(originals: Album | None, folder: Path | None) -> None:
    """Raise an InputError if pictures cannot be copied into a folder, or these copies would be among them."""
    if folder is None:
        return
    if not isinstance(originals, Pictures):
        raise InputError(f"--copies {folder} needs pictures in a folder, and these are in none")
    if folder.resolve().is_relative_to(originals.path.resolve()):
        raise InputError(f"--copies {folder} must be outside the folder of the pictures, {originals.path}")


class Copies:
    """Copies pictures into a folder under the names that they have in their own; nothing is replaced or removed."""

    def __init__(self, originals: Pictures, names: Sequence[str], folder: Path) -> None:
        """Store the pictures, the name of each row, and the folder of the copies, which may not exist yet."""
        self.originals, self.names, self.folder = originals, names, folder

    def copy(self, rows: Sequence[int]) -> str:
        """Copy the pictures of some rows, and say in one line how many, and why one could not be."""
        copied, known, failed = 0, 0, []
        for name in (self.names[row] for row in rows):
            try:
                if self._copy(name):
                    copied += 1
                else:
                    known += 1
            except (OSError, InputError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                failed.append(f"{files.printable(name)}: {files.line(reason)}")
        parts = [f"{copied:,} of {len(rows):,} pictures copied into {files.printable(self.folder)}"]
        parts += [f"{known:,} were there already"] if known else []
        parts += [f"{len(failed):,} could not be copied ({failed[0]})"] if failed else []
        return "; ".join(parts)

    def _copy(self, name: str) -> bool:
        """Copy a picture, with its date; False if there is an equal file under its name."""
        original = files.regular(self.originals.file(name))
        wanted = self.folder / original.relative_to(self.originals.path)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with locks.alone(self.folder):  # else two servers could take the same name
            return _copied(original, wanted)


def _copied(original: Path, wanted: Path) -> bool:
    for target in _names(wanted):
        if not os.path.lexists(target):
            break
        if target.is_file() and filecmp.cmp(original, target, shallow=False):
            return False
    with original.open("rb") as source, files.replacing(target) as copy:
        shutil.copyfileobj(source, copy)
    shutil.copystat(original, target)
    return True


def _names(wanted: Path) -> Iterator[Path]:
    """Yield a.jpg, a (2).jpg, a (3).jpg and so on."""
    yield wanted
    for number in itertools.count(2):
        yield wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
