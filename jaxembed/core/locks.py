"""Locks: processes that write into a folder take turns."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process holds a folder, and hold it; OSError if there is no such folder.

    It is the folder itself that is locked: nothing is left in it. On a file system without locks nobody waits.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
