"""Errors that end a command in one line. Each knows its exit status."""

import signal


class JaxembedError(Exception):
    """An error that ends a command; its message is one line."""

    status = 1


class InputError(JaxembedError):
    """The user's input cannot be used; the text says what, what was wanted and what was given."""

    status = 2


class Diverged(JaxembedError):
    """A loss or an embedding is no longer a finite number."""


class OutOfMemory(JaxembedError):
    """A run needs more memory than its devices, or this machine, have left."""


class Incomplete(JaxembedError):
    """A suite has ended, but some of its runs have failed."""


class Lost(JaxembedError):
    """Another process of the run has ended, or cannot be reached."""

    status = 3


class Stopped(JaxembedError):
    """A run was stopped by a signal, and its state is saved."""

    def __init__(self, cause: signal.Signals, text: str) -> None:
        """Keep the exit status that a shell expects: 128 + the signal's number."""
        super().__init__(text)
        self.status = 128 + cause


def status(error: BaseException) -> int:
    """Return the exit status of an error: its own, 130 after Ctrl-C, 1 for any other, such as a full disk."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return error.status if isinstance(error, JaxembedError) else 1
