"""Files: JSON that is checked when it is read, and files that are written whole or not at all."""

import contextlib
import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxembed.core.errors import InputError

# Characters of a message.
LONGEST = 2000
# The characters of a file's name that are in that of its unfinished copy, and how that one ends.
_STEM, _LEFT = 50, re.compile(r"\.[0-9a-f]{8}\.partial$")
# Objects and lists inside each other, in JSON.
_DEEPEST = 30
# What this process is writing.
_UNFINISHED: set[Path] = set()


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
      InputError: if it is damaged, or cannot be read.
    """
    try:
        return parsed(regular(file).read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise InputError(f"{file} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def parsed(text: str) -> dict[str, Any]:
    """Parse JSON that is one object; ValueError if it is not, or so deep that nothing we write is."""
    try:
        record = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it must be at most {_DEEPEST} deep") from error
    if not isinstance(record, dict):
        raise ValueError(f"it must hold an object, got {type(record).__name__}")
    inside: list[Any] = [record]
    for _ in range(_DEEPEST):
        inside = [value for each in inside for value in (each.values() if isinstance(each, dict) else each)]
        inside = [value for value in inside if isinstance(value, dict | list)]
    if inside:
        raise ValueError(f"it must be at most {_DEEPEST} deep")
    return record


def regular(file: Path) -> Path:
    """Return a file to read; OSError if it is a folder, or a pipe or a device, which may never end."""
    if kind := other_kind(file):
        raise OSError(errno.EINVAL, f"it is {kind}", str(file))
    return file


def write_json(file: Path, record: dict[str, Any]) -> None:
    """Write an object as JSON, whole or not at all."""
    write_text(file, json.dumps(record, indent=2) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with replacing(file) as partial:
        partial.write(text.encode())


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes its name, and replaces an old one, once it is complete.

    Until then its name is its own, so that of two processes that write the same file the last to end wins; what
    killed processes left under such names is removed. A link stays, and the file that it points to is replaced. The
    new file has the permissions of the old one.

    Raises:
      OSError: also if there is something else than a file, such as a folder, a device or a pipe.
    """
    target = Path(os.path.realpath(file))
    if kind := other_kind(target):
        raise FileExistsError(errno.EEXIST, f"{kind} cannot be replaced by a file", str(file))
    partial = target.with_name(f"{target.name[:_STEM]}.{os.urandom(4).hex()}.partial")
    with unfinished(partial), naming(file), _held(partial) as stream:
        sweep(target.parent, target.name)
        if target.exists():
            os.fchmod(stream.fileno(), target.stat().st_mode & 0o777)
        yield stream
        stream.flush()
        os.fsync(stream.fileno())  # or a machine that loses its power may keep the name, and lose the contents
        partial.replace(target)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Remove a file or a folder that is still there when this context ends, or the process does, by `abandon`."""
    _UNFINISHED.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _UNFINISHED.discard(path)


def abandon() -> None:
    """Remove what this process has not completed, before it ends without another step."""
    for path in tuple(_UNFINISHED):
        with contextlib.suppress(OSError):
            _remove(path)


def sweep(folder: Path, stem: str) -> None:
    """Remove what killed processes left of files whose names start with a stem; what any process writes is held."""
    for name in os.listdir(folder):
        if name.startswith(stem[:_STEM]) and _LEFT.search(name) and (folder / name).is_file():
            with contextlib.suppress(OSError), (folder / name).open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / name).unlink()


def other_kind(file: Path) -> str | None:
    """Name what there is instead of a file; None if it is a file, or nothing."""
    if file.is_dir():
        return "a folder"
    if os.path.islink(os.path.realpath(file)):
        return "a link to itself"
    return "a device or a pipe" if file.exists() and not file.is_file() else None


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name the file in a system's error that names none, as for a full disk, or names the unfinished copy."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or _LEFT.search(str(error.filename))):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(file)) from error


def expanded(path: str | Path) -> Path:
    """Replace a `~` at the start of a path by the home directory; InputError if there is none, or no path."""
    if not str(path):  # as of a shell's variable that is not set; it would be the working directory
        raise InputError("a path must not be empty; use . for the working directory")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{printable(path)}: there is no such home directory; use a path without ~") from error


def printable(name: str | Path) -> str:
    """Write a file's name as one line of UTF-8: what cannot be printed, such as a line break, is escaped."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def line(text: str) -> str:
    """Write a message on one printable line; the middle of one that repeats a very long value is left out."""
    words = printable(" ".join(text.split()))
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} … {words[-LONGEST // 2 :]}"


def utf8(name: str) -> str:
    """Return a file's name as text that can be encoded: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def refuse_read_only(folder: Path) -> None:
    """Raise a PermissionError if a folder is marked read-only; nothing else stops root from writing into it."""
    if not folder.stat().st_mode & 0o222:
        raise PermissionError("it is marked read-only")


def _remove(path: Path) -> None:
    """Remove a file or a folder; not by shutil, which takes a while to import."""
    if path.is_dir() and not path.is_symlink():
        for each in path.iterdir():
            _remove(each)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _held(partial: Path) -> BinaryIO:
    """Make a file and lock it, by which `sweep` knows that a process writes it."""
    while True:
        stream = partial.open("x+b")
        with contextlib.suppress(OSError):  # on a file system without locks nothing is swept either
            fcntl.flock(stream, fcntl.LOCK_EX)
        if partial.exists():
            return stream
        stream.close()  # swept before it was locked
