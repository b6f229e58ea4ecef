"""Checkpoints: State on disk, saved in the background, restored from the newest that is whole."""

import contextlib
import logging as stdlib_logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from absl import logging

from jaxembed.types import State


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
        """Wait for saves under way."""
        self.manager.close()

    def save(self, state: State) -> None:
        """Start to save a state under its step; a step that is there already stays as it is."""
        self.manager.save(int(state.step), args=ocp.args.StandardSave(state))

    def restore(self, like: State) -> State | None:
        """Restore the newest whole checkpoint, or None where there is none.

        A finished folder can still be damaged (a full disk, a bad copy): it is set aside beside the folder of
        checkpoints as `damaged-<step>`, which a warning says, and the one before it is tried.

        Args:
          like: a state of the same shapes, types and placement on devices.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                with _quiet_asyncio():
                    return self.manager.restore(step, args=ocp.args.StandardRestore(abstract))
            except Exception as error:
                aside = self.folder.parent / f"damaged-{step}"
                logging.warning("checkpoint %d is damaged (%s): moved to %s", step, type(error).__name__, aside)
                shutil.rmtree(aside, ignore_errors=True)
                (self.folder / str(step)).rename(aside)
        self.manager.reload()
        return None


@contextlib.contextmanager
def _quiet_asyncio() -> Iterator[None]:
    # Orbax reads every array in a task of its own; asyncio prints a traceback for each that is not asked for.
    logger = stdlib_logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(stdlib_logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
