"""Tree: what is in a folder of pictures, before anything is made of it."""

import collections
import os
from pathlib import Path
from typing import NamedTuple

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import omitted
from jaxembed.datasets.storage.omitted import Omitted
from jaxembed.pictures import kinds

# Folders and files that a system or a network drive makes, in lower case.
SYSTEM = frozenset(
    (
        *("@eadir", "@__thumb", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
        *("lost+found", "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    )
)


class Tree(NamedTuple):
    """What is in a folder, by paths relative to it with forward slashes, in the order of their names.

    Attributes:
      root: the folder.
      pictures: the files that are pictures by their names or first bytes; whether they can be read is not known.
      folders: the folders that were looked into.
      omitted: all other files; folders of the system, in which nothing is counted; and links to other folders here.
    """

    root: Path
    pictures: list[str]
    folders: list[str]
    omitted: list[Omitted]


def walk(root: Path, *, what: str) -> Tree:
    """List a folder and its sub-folders.

    A folder that several names lead to is used once: by its own name if it is inside, or else by the first link to
    it. No other order has an effect. Hidden files and folders are not used.

    Raises:
      InputError: if a folder cannot be listed; `what` names the option in the error.
    """
    found, top = Tree(root, [], [], []), os.path.realpath(root)
    seen: dict[str, str] = {}
    links = collections.deque([""])
    while links:
        link = links.popleft()
        target = os.path.realpath(root / link)
        if link and target != top and os.path.commonpath([target, top]) == target:
            found.omitted.append(Omitted(f"{link}/", "links", "a link to a folder above"))
        else:
            links.extend(sorted(_descend(link, target, found, seen, what)))
    return Tree(root, sorted(found.pictures), sorted(found.folders), sorted(found.omitted))


def _descend(start: str, target: str, found: Tree, seen: dict[str, str], what: str) -> list[str]:
    """List the folder at a path, with its real sub-folders; return the links to folders in them."""
    links, waiting = [], [(start, target)]
    while waiting:
        folder, real = waiting.pop()
        if real in seen:
            found.omitted.append(
                Omitted(f"{folder}/", "links", f"the same folder as {omitted.short(seen[real] or found.root)}")
            )
            continue
        seen[real] = folder
        if folder:
            found.folders.append(folder)
        for entry in _entries(found.root / folder, what):
            name = f"{folder}/{entry.name}" if folder else entry.name
            is_link, is_folder, reason = _kind_of(entry)
            if reason:
                found.omitted.append(Omitted(f"{name}/" if is_folder else name, omitted.kind(name), reason))
            elif not is_folder:
                found.pictures.append(name)
            elif is_link:
                links.append(name)
            else:
                waiting.append((name, f"{real.rstrip('/')}/{entry.name}"))
    return links


def _entries(folder: Path, what: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        reason = f"the folder {files.printable(folder)} cannot be listed: {error.strerror}"
        raise InputError(f"{what}: {reason}") from error


def _kind_of(entry: os.DirEntry) -> tuple[bool, bool, str]:
    """Return whether an entry is a link, whether it is a folder, and why it is not used, or nothing."""
    is_link, is_folder = entry.is_symlink(), False
    try:
        is_folder = entry.is_dir()
        if entry.name.startswith("."):
            return is_link, is_folder, "hidden"
        if entry.name.casefold() in SYSTEM:
            return is_link, is_folder, "made by the system"
        if is_folder or entry.is_file():
            return is_link, is_folder, "" if is_folder else kinds.why_not(entry.path)
        return is_link, is_folder, "a link to nothing" if is_link else "not a file"
    except OSError as error:  # a link in a circle, or into a locked folder
        return is_link, is_folder, f"cannot be followed: {error.strerror}"
