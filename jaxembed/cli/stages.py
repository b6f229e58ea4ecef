"""Stages: what a program does now, where that takes time: a line that changes on a terminal, else one now and then.

The rooms that do the work say what they begin; whether anybody sees it is up to the program.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

# Seconds between two lines where there is no terminal.
PATIENCE = 10.0


class _Shown:
    """What is shown, if anything is: when the last line was printed, and the letters of the one on a terminal."""

    is_on, printed, letters = False, 0.0, 0


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show the stages that begin in this context."""
    _Shown.is_on, _Shown.printed = True, time.monotonic()
    try:
        yield
    finally:
        _write("")
        _Shown.is_on = False


def begin(what: str) -> None:
    """Begin a stage, such as "t-SNE"."""
    if not _Shown.is_on:
        return
    if sys.stderr.isatty():
        _write(f"evaluating: {what} …")
    elif time.monotonic() - _Shown.printed > PATIENCE:
        _Shown.printed = time.monotonic()
        print(f"evaluating: {what}", flush=True)


def _write(line: str) -> None:
    """Write a line in place of the one before, which is only there on a terminal."""
    if line or _Shown.letters:
        sys.stderr.write(f"\r{line:{_Shown.letters}}\r{line}")
        sys.stderr.flush()
    _Shown.letters = len(line)
