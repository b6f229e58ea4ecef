"""Signals: Ctrl-C, SIGTERM, a closed terminal and a scheduler's warning end a program in one line.

While a run trains, they let it finish its steps and save.
"""

import atexit
import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from jaxembed.core.errors import Stopped

RESUMABLE = "interrupted; run the same command again to resume from the last checkpoint"
# Slurm warns by SIGUSR1, or what else it is asked to send.
SAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def begin(program: str, text: str = "interrupted") -> None:
    """Let the signals end this process in one line from now on; call this before anything heavy is imported.

    The handler ends the process itself: an exception in the middle of an import or of a callback could be lost
    there, or become a different error.

    Args:
      program: the name that the line starts with.
      text: the rest of the line.
    """
    handle_all(functools.partial(_end, f"{program}: {text}"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SAVING)  # `block` may have held them back
    atexit.register(_ignore)


def block() -> None:
    """Hold the signals back until the program that replaces this one begins."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SAVING)


def begin_module() -> None:
    """Begin, if this process is that of `python -m jaxembed.<program>`, and Python is looking for the program."""
    if getattr(sys, "argv", [])[:1] == ["-m"]:
        before, found, program = sys.orig_argv[-len(sys.argv)].partition("jaxembed.")
        if found and (not before or before.startswith("-")):  # or its option is in the same word
            begin(program)


def handle_all(handler: Callable[[int, Any], None]) -> dict[signal.Signals, Any]:
    """Handle the signals that end a run, except those that this process was started to ignore, as by nohup.

    Returns:
      the previous handlers.
    """
    handled = [number for number in SAVING if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in handled}


@contextlib.contextmanager
def caught() -> Iterator[list[signal.Signals]]:
    """Collect the signals instead of ending at the first; a second one has its usual effect."""
    received: list[signal.Signals] = []

    def handle(number: int, _frame: object) -> None:
        received.append(signal.Signals(number))
        signal.signal(number, previous[number])
        again = "press Ctrl-C again" if number == signal.SIGINT else f"send {signal.Signals(number).name} again"
        _say(f"finishing the current steps and saving; {again} to quit immediately")

    previous = handle_all(handle)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stopped(cause: signal.Signals, step: int, total_steps: int) -> Stopped:
    """Make the error that ends a run stopped by a signal after a step."""
    saved = ", saved" if step else ""
    advice = "run the same command again to resume"
    return Stopped(cause, f"stopped by {cause.name} at step {step} of {total_steps}{saved}; {advice}")


def _end(line: str, number: int, _frame: object) -> None:
    handle_all(lambda number, _: os._exit(128 + number))  # if a pipe that nobody reads keeps the flush waiting
    with contextlib.suppress(Exception):  # it has not been imported yet, which takes as long as all here
        sys.modules["jaxembed.core.files"].abandon()
    _say(line)
    with contextlib.suppress(Exception):  # closed, or just being written to
        sys.stdout.flush()
    os._exit(128 + number)


def _say(line: str) -> None:
    """Write a line to standard error, not by print, which may be what was interrupted."""
    with contextlib.suppress(Exception):  # closed, as by the terminal that was closed
        bar = "\n" * sys.stderr.isatty()  # to leave it as it is
        os.write(sys.stderr.fileno(), f"{bar}{line}\n".encode())


def _ignore() -> None:
    """Ignore the signals: all is done, and Python takes down its handlers before the rest of itself."""
    for number in SAVING:
        signal.signal(number, signal.SIG_IGN)
