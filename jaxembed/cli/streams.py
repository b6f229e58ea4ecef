"""Streams: standard input, output and error as a program may find them: closed, unread, in any encoding.

What is written to them is text for a terminal: control characters are escaped, wherever they come from.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from absl import logging

from jaxembed.core import files

NAMES = ("stdout", "stderr")


def prepare() -> None:
    """Open the streams that are closed, as under some job runners, and let all take any text; call this first.

    Otherwise the first file that is opened would take the number of a closed stream, and what is meant for standard
    error, by a library in C for example, would be written into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for number, name in enumerate(NAMES, start=1):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Escaped(stream))
    logging.get_absl_handler().python_handler.stream = sys.stderr


@contextlib.contextmanager
def escaped() -> Iterator[None]:
    """Escape control characters in what is printed, whatever the streams are."""
    with contextlib.redirect_stdout(Escaped(sys.stdout)), contextlib.redirect_stderr(Escaped(sys.stderr)):
        yield


def outlive() -> None:
    """Let the program continue when standard output or error cannot be written; that output is lost.

    A training is worth more than its messages: `| head` ends, a terminal is closed, the disk of a log is full.
    """
    for number, name in enumerate(NAMES, start=1):
        setattr(sys, name, lasting(number, like=getattr(sys, name)))
    logging.get_absl_handler().python_handler.stream = sys.stderr


def lasting(number: int, *, like: Any) -> Any:
    """Make a text stream for a file descriptor that never fails, with the encoding of another stream."""
    raw = io.BufferedWriter(_Lasting(number, "w", closefd=False))
    return Escaped(io.TextIOWrapper(raw, encoding=like.encoding, errors="backslashreplace", line_buffering=True))


class Escaped:
    """A text stream that writes control characters as escapes; otherwise it is the stream that it is made of."""

    def __init__(self, stream: Any) -> None:
        """Keep the stream."""
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has under any other name."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text; on a terminal it may begin with a carriage return, as a progress bar does."""
        start = "\r" * (text.startswith("\r") and self._stream.isatty())
        lines = text.removeprefix(start).split("\n")
        self._stream.write(start + "\n".join(map(files.printable, lines)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)


class _Lasting(io.FileIO):
    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)
