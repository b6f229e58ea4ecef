"""Notes: what a process goes by, as texts by name, compared with those of the first process.

Processes that go by different options, data or code would train a run of neither, or wait for each other for ever.
"""

import hashlib
import json
from collections.abc import Mapping

from jaxembed.core.errors import InputError
from jaxembed.devices.board import Board

# Differences that are named.
_NAMED = 5
_ABSENT = "absent"


def compare(board: Board, notes: Mapping[str, str]) -> None:
    """Compare this process's notes with those of process 0; return once all processes have found no difference.

    A hash is compared first, so that a thousand processes read little.

    Raises:
      InputError: that names the differences, in a process that has any; as it ends, so do the others.
    """
    number = next(board.numbers)
    text = json.dumps(notes)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if board.index == 0:
        board.put(f"{number}/notes", text)
        board.put(f"{number}/digest", digest)
        for other in range(1, board.count):
            board.wait(f"{number}/same/{other}")
        board.put(f"{number}/all", "")
        return
    if board.wait(f"{number}/digest") != digest:
        first = json.loads(board.wait(f"{number}/notes"))
        raise InputError(f"the processes of this run differ: {differences(first, notes, board.index)}")
    board.put(f"{number}/same/{board.index}", "")
    board.wait(f"{number}/all")


def differences(first: Mapping[str, str], notes: Mapping[str, str], index: int) -> str:
    """Name what differs between the notes of process 0 and those of another one."""
    names = [name for name in first | notes if first.get(name) != notes.get(name)]
    named = [
        f"{name} is {first.get(name, _ABSENT)} in process 0, {notes.get(name, _ABSENT)} in process {index}"
        for name in names[:_NAMED]
    ]
    more = len(names) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")
