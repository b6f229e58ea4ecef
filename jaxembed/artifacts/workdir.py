"""The folder of a run, which belongs to one run and to one process at a time."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxembed.artifacts import identity, schema
from jaxembed.core import files
from jaxembed.core.errors import InputError

CONFIG, METRICS, RESULT, CHECKPOINT = "config.json", "metrics.jsonl", "result.json", "checkpoint"
# What --tune measured, on validation.
TUNED = "tuned.json"
_SECTIONS = ("data", "encoder", "objective", "optimizer", "train", "evaluate")
# Where the files of an evaluation are until all of them are written.
_NEW = ".new"


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Make the folder and hold it for this process; what a killed one was writing is removed.

    Raises:
      InputError: if it cannot be written or locked, its path is not UTF-8, or another process holds it.
    """
    path = str(folder.absolute())
    if files.utf8(path) != path:  # orbax's library in C takes no other
        raise InputError(f"--workdir {files.utf8(path)} must be a path in UTF-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise InputError(f"--workdir {folder} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"--workdir {folder} is in use by another run; use a different --workdir") from error
        except OSError as error:  # of a file system without locks
            reason = f"cannot be locked: {error.strerror}; use a --workdir on a different disk"
            raise InputError(f"--workdir {folder} {reason}") from error
        shutil.rmtree(folder / _NEW, ignore_errors=True)
        yield


@contextlib.contextmanager
def renewed(folder: Path, *, stale: Iterable[Path]) -> Iterator[Path]:
    """Open an empty folder for the files of an evaluation, which then replace those in a run's folder as one.

    RESULT is the first to go and the last to come: a kill at any moment leaves the evaluation before, none, or the
    new one, and an error while they are written the one before.

    Args:
      folder: the run's folder, which this process holds.
      stale: the files of an earlier evaluation, which go with RESULT.
    """
    with files.unfinished(folder / _NEW) as new:
        new.mkdir()
        yield new
        for file in (folder / RESULT, *stale):
            file.unlink(missing_ok=True)
        for file in sorted(filter(Path.is_file, new.rglob("*")), key=lambda file: file.name == RESULT):
            target = folder / file.relative_to(new)
            target.parent.mkdir(exist_ok=True)
            file.replace(target)


def holds_a_run(folder: Path) -> bool:
    """Return whether anything was trained in a folder."""
    metrics = folder / METRICS
    logged = metrics.exists() and metrics.stat().st_size > 0
    return logged or (folder / RESULT).exists() or any((folder / CHECKPOINT).glob("[0-9]*"))


def read_config(folder: Path) -> dict[str, Any] | None:
    """Read the config of the run that a folder holds; None if nothing was trained in it yet.

    Raises:
      InputError: if it holds a run without its config, or the config is damaged.
    """
    if not holds_a_run(folder):
        return None
    if not (folder / CONFIG).exists():
        raise InputError(f"--workdir {folder} holds a run without its {CONFIG}; use a different --workdir")
    config = files.read_json(folder / CONFIG)
    schema.check(folder / CONFIG, config, dict.fromkeys(_SECTIONS, schema.OBJECT), optional=_SECTIONS)
    return config


def check(config: ConfigDict, there: Mapping[str, Any] | None, folder: Path) -> None:
    """Raise an InputError if a folder holds a different run; the options that differ are named.

    Args:
      config: the run's config.
      there: the folder's, as `read_config` returns it. Options that do not determine a run's parameters may differ.
      folder: the folder, for the error.
    """
    if there is None:
        return
    if differences := _differences(identity.identity(there), identity.identity(json.loads(config.to_json()))):
        raise InputError(
            f"--workdir {folder} was trained with a different config: {differences}; use a different --workdir"
        )


def check_protocol(config: ConfigDict, there: Mapping[str, Any], folder: Path) -> None:
    """Raise an InputError if a finished run was evaluated with settings other than the config's; as `check`."""
    before, now = (
        identity.flatten(identity.current(each).get("evaluate", {}), "config.evaluate")
        for each in (there, json.loads(config.to_json()))
    )
    if differences := _differences(before, now):
        again = "use --evaluate to measure it again"
        raise InputError(f"--workdir {folder} was evaluated with different settings: {differences}; {again}")


def write_config(config: ConfigDict, folder: Path) -> None:
    """Write a run's config.json."""
    files.write_text(folder / CONFIG, config.to_json(indent=2) + "\n")


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    differing = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
    return ", ".join(f"{key} is {_value(there, key)} there, {_value(here, key)} here" for key in differing)


def _value(options: Mapping[str, Any], key: str) -> str:
    return repr(options[key]) if key in options else "not set"
