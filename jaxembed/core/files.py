"""Files: JSON that is checked when it is read, and files that are written whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxembed.core.errors import InputError

# Characters of a message.
LONGEST = 2000


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
      InputError: if it is damaged, or cannot be read.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise InputError(f"{file} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(record, dict):
        raise InputError(f"{file} is damaged: it must hold an object, got {type(record).__name__}")
    return record


def write_json(file: Path, record: dict[str, Any]) -> None:
    """Write an object as JSON, whole or not at all."""
    write_text(file, json.dumps(record, indent=2) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with replacing(file) as partial:
        partial.write(text.encode())


@contextlib.contextmanager
def replacing(file: Path, *, suffix: str = ".partial") -> Iterator[BinaryIO]:
    """Open a new file that takes its name, and replaces an old one, once it is complete.

    Args:
      file: the name that the new file takes.
      suffix: what its name ends in until then; it must be unique where several processes may write the same file.
    """
    partial = file.with_name(file.name + suffix)
    try:
        with naming(file), partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())  # or a machine that loses its power may keep the name, and lose the contents
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name the file in a system's error that names none, as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(file)) from error


def expanded(path: str | Path) -> Path:
    """Replace a `~` at the start of a path by the home directory; InputError if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{printable(path)}: there is no such home directory; use a path without ~") from error


def printable(name: str | Path) -> str:
    """Write a file's name as one line of text: what cannot be printed, such as a line break, is escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(name)
    )


def line(text: str) -> str:
    """Write a message on one line; the middle of one that repeats a very long value is left out."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} … {words[-LONGEST // 2 :]}"


def utf8(name: str) -> str:
    """Return a file's name as text that can be encoded: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def refuse_read_only(folder: Path) -> None:
    """Raise a PermissionError if a folder is marked read-only; nothing else stops root from writing into it."""
    if not folder.stat().st_mode & 0o222:
        raise PermissionError("it is marked read-only")
