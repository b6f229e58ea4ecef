"""Checkpoints: State on disk, saved in the background, restored from the newest that is intact."""

import contextlib
import hashlib
import inspect
import json
import logging as stdlib_logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from jaxembed.core.errors import InputError
from jaxembed.devices import processes
from jaxembed.types import State

# The number of newest checkpoints to keep: two, in case the last one turns out to be damaged.
KEEP = 2
# The key of the checksum among the notes.
CHECKSUM = "sha256"


class Saved(NamedTuple):
    """What a checkpoint holds: a state, and notes about it; none in a checkpoint from before there were notes."""

    state: State
    notes: dict[str, Any]


class _Manager(ocp.CheckpointManager):
    """A manager that asks no one whether this process is about to be taken away: `cli.signals` knows.

    Up to 0.11.36, which jax2onnx requires, orbax asks a service of JAX that `processes.start` turns off, and fails.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The checkpoints of one run, in `<folder>/<step>/`; leaving the context waits for the last save."""

    def __init__(self, folder: Path) -> None:
        """Open a folder, creating it if it does not exist."""
        self.folder = folder.absolute()
        # What a kill leaves of a save is removed.
        options = ocp.CheckpointManagerOptions(max_to_keep=KEEP, cleanup_tmp_directories=True)
        # The handler by name: orbax would guess it from the newest checkpoint, which can be damaged.
        handler = ocp.StandardCheckpointHandler()
        self.manager = _Manager(self.folder, options=options, item_handlers=handler)

    def __enter__(self) -> "Checkpoints":
        """Return self."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the save in progress; OSError as in `save`."""
        with self._writing():
            self.manager.close()

    def save(self, state: State, notes: Mapping[str, Any]) -> None:
        """Start saving a state under its step; an existing checkpoint of that step is left unchanged.

        Args:
          state: whole on every device.
          notes: what is not an array, as JSON. A checksum of all is saved with it.

        Raises:
          OSError: if this save or the one before it cannot be written, for example because the disk is full.
        """
        noted = {**notes, CHECKSUM: checksum(state, notes)}
        with self._writing():
            self.manager.save(int(state.step), args=ocp.args.StandardSave(_fields(state)), custom_metadata=noted)

    @property
    def is_empty(self) -> bool:
        """Whether there are no checkpoints, intact or damaged."""
        return not self.manager.all_steps()

    def restore(self, like: State, *, step: int | None = None) -> Saved | None:
        """Restore the newest intact checkpoint, or the one at a given step; None if there are no checkpoints.

        A complete checkpoint can still be damaged (a full disk, a bad copy, a flipped bit). If an older one is
        intact, the damaged one is moved to `damaged-<step>`, next to the folder of checkpoints, with a warning.

        Args:
          like: a state of the same shapes, types and placement on devices.
          step: restore only this one.

        Raises:
          InputError: if there are checkpoints but none can be restored, or not the one at `step`; in that case
            nothing is moved.
        """
        saved, failed = None, {}
        for found in sorted(self.manager.all_steps(), reverse=True) if step is None else [step]:
            try:
                saved = self._read(found, like)
                break
            except Exception as error:  # orbax raises whatever error the damage causes
                failed[found] = str(error) if isinstance(error, InputError) else type(error).__name__
        if saved is None and failed:
            reasons = ", ".join(f"{found}: {reason}" for found, reason in failed.items())
            problem = f"no checkpoint in {self.folder} can be restored ({reasons})"
            raise InputError(f"{problem}; train again with a different --workdir")
        with processes.first_goes_ahead():
            for damaged, reason in failed.items():
                if processes.is_first():
                    self._set_aside(damaged, reason)
        if failed:
            # The manager remembers its steps, and would skip a new save of one of them as already done.
            self.manager.reload()
        if step is None:
            # A kill between a save and the removal of the oldest leaves one too many.
            for old in sorted(self.manager.all_steps())[:-KEEP]:
                self.manager.delete(old)
        return saved

    def _read(self, step: int, like: State) -> Saved:
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _fields(like))
        state = like._replace(**self.manager.restore(step, args=ocp.args.StandardRestore(abstract)))
        metadata = self.manager.metadata(step)
        if not metadata.commit_timestamp_nsecs:
            raise InputError("its metadata cannot be read")
        notes = dict(metadata.custom_metadata or {})
        # Orbax has no checksum of its own: it restores a flipped bit as a different number.
        if notes and notes.pop(CHECKSUM, None) != checksum(state, notes):
            raise InputError("its checksum is wrong")
        return Saved(state, notes)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # tensorstore wraps the system's error in this
            if not (code := re.search(r"os_error_code='(\d+)'", str(error))):
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(self.folder)) from error

    def _set_aside(self, step: int, reason: str) -> None:
        names = (f"damaged-{step}", *(f"damaged-{step}-{number}" for number in range(2, 1000)))
        aside = next(path for name in names if not (path := self.folder.parent / name).exists())
        (self.folder / str(step)).rename(aside)
        logging.warning("checkpoint %d is damaged (%s): moved to %s", step, reason, aside)


def checksum(state: State, notes: Mapping[str, Any]) -> str:
    """Hash a state and notes: SHA-256, hexadecimal."""
    digest = hashlib.sha256(json.dumps(notes, sort_keys=True).encode())
    for leaf in jax.tree.leaves(state._replace(key=jax.random.key_data(state.key))):
        array = jax.device_get(leaf)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ravel(array).view(np.uint8))
    return digest.hexdigest()


def _fields(state: State) -> dict[str, Any]:
    """Return the parts of a state that have arrays, and those that each has: older checkpoints have no others."""
    always = ("step", "key", "params", "stats", "opt_state")
    return {name: part for name, part in state._asdict().items() if name in always or jax.tree.leaves(part)}


def hush() -> None:
    """Make a failing checkpoint report a single error, until the process ends; call this when a program starts.

    Orbax reads and writes every array in its own task. The first one that fails raises the error, and closes the
    event loop that all of them run in. Each of the others would print a traceback or a warning, some of them as the
    process ends: tasks that also failed, tasks that have not finished, tasks that have not started, and files that
    find the loop closed.
    """
    left = re.compile("exception was never retrieved|destroyed but it is pending")
    stdlib_logging.getLogger("asyncio").addFilter(lambda record: not left.search(record.getMessage()))
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    hook = sys.unraisablehook

    def report(lost: Any) -> None:
        if not inspect.iscoroutine(lost.object) and str(lost.exc_value) != "Event loop is closed":
            hook(lost)

    sys.unraisablehook = report
