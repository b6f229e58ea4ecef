"""Signals: Ctrl-C, SIGTERM, a closed terminal and a scheduler's warning let a run finish its steps and save."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from jaxembed.core.errors import Stopped

# Slurm warns by SIGUSR1, or what else it is asked to send.
SAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


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
        bar = "\n" * sys.stderr.isatty()  # to leave it as it is
        again = "press Ctrl-C again" if number == signal.SIGINT else f"send {signal.Signals(number).name} again"
        text = f"{bar}finishing the current steps and saving; {again} to quit immediately\n"
        with contextlib.suppress(OSError):  # the terminal may be what was closed
            os.write(sys.stderr.fileno(), text.encode())  # not by print, which may be what was interrupted

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
