"""Checkpoints: State on disk, saved in the background, restored from the newest that is whole."""

import contextlib
import inspect
import logging as stdlib_logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from jaxembed.types import InputError, State


class Checkpoints:
    """The checkpoints of one run, in `<folder>/<step>/`; leaving the context waits for the last save."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        """Open a folder, and make it if it is not there; the newest `keep` checkpoints stay."""
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        self.manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for saves under way; OSError as in `save`."""
        with self._writing():
            self.manager.close()

    def save(self, state: State) -> None:
        """Start to save a state under its step; a step that is there already stays as it is.

        Raises:
          OSError: if this save or the one before it cannot be written, to a full disk for one.
        """
        with self._writing():
            self.manager.save(int(state.step), args=ocp.args.StandardSave(state))

    def restore(self, like: State, *, step: int | None = None) -> State | None:
        """Restore the newest whole checkpoint or that of a step, or None where there is none at all.

        A finished folder can still be damaged (a full disk, a bad copy): where an older one is whole, the
        damaged one is set aside beside the folder of checkpoints as `damaged-<step>`, which a warning says.

        Args:
          like: a state of the same shapes, types and placement on devices.
          step: of the only one that is wanted.

        Raises:
          InputError: if there are checkpoints and none can be restored, or not that of the step; nothing is moved.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        state, failed = None, {}
        for saved in sorted(self.manager.all_steps(), reverse=True) if step is None else [step]:
            try:
                state = self.manager.restore(saved, args=ocp.args.StandardRestore(abstract))
                break
            except Exception as error:  # orbax raises whatever the damage made it stumble over
                failed[saved] = type(error).__name__
        if state is None and failed:
            reasons = ", ".join(f"{saved}: {reason}" for saved, reason in failed.items())
            no_use = f"no checkpoint in {self.folder} can be restored ({reasons})"
            raise InputError(f"{no_use}; train in another --workdir")
        for damaged, reason in failed.items():
            self._set_aside(damaged, reason)
        return state

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # which tensorstore makes of what the system says
            if not (code := re.search(r"os_error_code='(\d+)'", str(error))):
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(self.folder)) from error

    def _set_aside(self, step: int, reason: str) -> None:
        names = (f"damaged-{step}", *(f"damaged-{step}-{number}" for number in range(2, 1000)))
        aside = next(path for name in names if not (path := self.folder.parent / name).exists())
        (self.folder / str(step)).rename(aside)
        # The manager remembers its steps, and would take a new save of this one for a repetition.
        self.manager.reload()
        logging.warning("checkpoint %d is damaged (%s): moved to %s", step, reason, aside)


def hush() -> None:
    """Let a checkpoint that fails be one error, from now until the process ends; a program calls it as it begins.

    Orbax reads and writes every array in a task of its own. The first that fails is the error that is raised, and
    closes the loop that all of them run in. Each of the others would print a traceback or a warning, some as the
    process ends: one that has failed, too; one that has not ended, and may not let go; one that has not begun; a
    file that has done what it was asked, and finds the loop closed.
    """
    left = re.compile("exception was never retrieved|destroyed but it is pending")
    stdlib_logging.getLogger("asyncio").addFilter(lambda record: not left.search(record.getMessage()))
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    hook = sys.unraisablehook

    def report(lost: Any) -> None:
        if not inspect.iscoroutine(lost.object) and str(lost.exc_value) != "Event loop is closed":
            hook(lost)

    sys.unraisablehook = report
