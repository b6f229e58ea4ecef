"""Streams: standard input, output and error as a program may find them: closed, unread, in any encoding."""

import io
import os
import sys
from typing import TextIO

from absl import logging

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
        getattr(sys, name).reconfigure(errors="backslashreplace")
    logging.get_absl_handler().python_handler.stream = sys.stderr


def outlive() -> None:
    """Let the program continue when standard output or error cannot be written; that output is lost.

    A training is worth more than its messages: `| head` ends, a terminal is closed, the disk of a log is full.
    """
    for number, name in enumerate(NAMES, start=1):
        setattr(sys, name, lasting(number, like=getattr(sys, name)))
    logging.get_absl_handler().python_handler.stream = sys.stderr


def lasting(number: int, *, like: TextIO) -> TextIO:
    """Make a text stream for a file descriptor that never fails, with the encoding of another stream."""
    raw = io.BufferedWriter(_Lasting(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding=like.encoding, errors="backslashreplace", line_buffering=True)


class _Lasting(io.FileIO):
    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)
