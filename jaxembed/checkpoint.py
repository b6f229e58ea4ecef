"""Checkpoints: State on disk, saved in the background, restored from the newest that is whole."""

import contextlib
import gc
import logging as stdlib_logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from absl import logging

from jaxembed.types import InputError, State

# Orbax reads and writes every array in a task of its own. Of those that fail, one is awaited and tells us; for each
# of the others asyncio would print a traceback, whenever it is thrown away.
stdlib_logging.getLogger("asyncio").addFilter(lambda record: "was never retrieved" not in record.getMessage())


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
        with _quiet():
            for saved in sorted(self.manager.all_steps(), reverse=True) if step is None else [step]:
                try:
                    state = self.manager.restore(saved, args=ocp.args.StandardRestore(abstract))
                    break
                except Exception as error:  # orbax raises whatever the damage made it stumble over
                    failed[saved] = type(error).__name__  # not itself, which would outlive the quiet
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # What the tasks that fail leave behind complains again when it is thrown away.
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        gc.collect()  # so that what is thrown away here is not noticed later
        sys.unraisablehook = hook
