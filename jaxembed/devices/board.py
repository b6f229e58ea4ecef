"""The board: texts that the processes of a run leave for each other, which JAX's coordinator keeps.

Unlike a collective it needs no devices, and a process that waits here can be interrupted.
"""

import itertools
import math
import time
from typing import Any

import jax
from jax._src import distributed  # its store of texts has no public name; orbax takes it from here as well

# Seconds of one request: a signal's handler runs between two.
_ONCE = 1
_OURS = "jaxembed"


class Board:
    """The texts of one run, as one of its processes reads and writes them.

    Attributes:
      client: JAX's connection to the coordinator, or what keeps texts as that does.
      index: this process's number; the coordinator is in process 0.
      count: how many processes there are.
      begun: whether the processes compute together by now.
      numbers: 0, 1, 2 … for keys; processes that do the same things get the same numbers.
    """

    def __init__(self, client: Any, index: int, count: int) -> None:
        """Start counting."""
        self.client, self.index, self.count = client, index, count
        self.begun, self.numbers = False, itertools.count()

    def put(self, key: str, text: str) -> None:
        """Leave a text; a JaxRuntimeError if there is one with this key."""
        self.client.key_value_set(f"{_OURS}/{key}", text)

    def look(self, key: str) -> str | None:
        """Return a text; None if it is not there."""
        return _unless("NOT_FOUND", self.client.key_value_try_get, f"{_OURS}/{key}")

    def wait(self, key: str, *, within: float = math.inf) -> str | None:
        """Return a text once it is there; None if it is not after a number of seconds."""
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            milliseconds = math.ceil(1000 * min(left, _ONCE))
            text = _unless("DEADLINE_EXCEEDED", self.client.blocking_key_value_get, f"{_OURS}/{key}", milliseconds)
            if text is not None:
                return text
        return None


# This process's, once it is connected.
here: Board | None = None


def connect() -> Board:
    """Make this process's board from the connection of `jax.distributed`."""
    global here
    state = distributed.global_state
    here = Board(state.client, state.process_id, state.num_processes)
    return here


def _unless(kind: str, get: Any, *arguments: Any) -> str | None:
    """Get a text; None if that fails with this kind of error."""
    try:
        return get(*arguments)
    except jax.errors.JaxRuntimeError as error:
        if not str(error).startswith(kind):
            raise
        return None
