"""The folder of a run, which belongs to one config and to one process at a time."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ml_collections import ConfigDict

from jaxembed.types import InputError


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Make the folder and hold it for this process.

    Raises:
      InputError: if it cannot be written or locked, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise InputError(f"--workdir {folder} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"--workdir {folder} is in use by another run; take another --workdir") from error
        except OSError as error:  # of a file system without locks
            raise InputError(f"--workdir {folder} cannot be locked: {error.strerror}; take another disk") from error
        yield


def check(config: ConfigDict, folder: Path) -> None:
    """Raise an InputError if the folder holds a run of another config; the keys that differ are named.

    A folder in which nothing was trained yet is nobody's.
    """
    file = folder / "config.json"
    log = folder / "metrics.jsonl"
    logged = log.exists() and log.stat().st_size > 0
    if not (logged or (folder / "result.json").exists() or any((folder / "checkpoint").glob("[0-9]*"))):
        return
    if not file.exists():
        raise InputError(f"--workdir {folder} holds a run without its config.json; take another --workdir")
    theirs = flatten(read(file))
    ours = flatten(json.loads(config.to_json()))
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if keys:
        differences = ", ".join(f"{key} is {theirs.get(key)!r} there, {ours.get(key)!r} here" for key in keys)
        raise InputError(f"--workdir {folder} holds a run of another config: {differences}; take another --workdir")


def read(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds one record.

    Raises:
      InputError: if it is damaged, or cannot be read.
    """
    try:
        record = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(record, dict):
        raise InputError(f"{file} is damaged: it must hold a record, got {type(record).__name__}")
    return record


def write(name: str, text: str, folder: Path) -> None:
    """Write a text file of the folder, whole or not at all."""
    with replacing(name, folder) as partial:
        partial.write(text.encode())


@contextlib.contextmanager
def replacing(name: str, folder: Path) -> Iterator[BinaryIO]:
    """Open a file of the folder that takes its name once it is whole."""
    partial = folder / f"{name}.partial"
    with partial.open("wb") as file:
        yield file
    partial.replace(folder / name)


def flatten(tree: Mapping[str, Any], prefix: str = "config") -> dict[str, Any]:
    """Flatten nested sections to `config.section.key` -> value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}"
        flat |= flatten(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat
