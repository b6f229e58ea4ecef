"""Endings: a process of a run that ends for its own reason tells the others, and all end with that one line."""

import atexit
import ctypes
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import jax
from absl import logging

from jaxembed.cli import streams
from jaxembed.core.errors import InputError, Lost
from jaxembed.devices import board
from jaxembed.devices.board import Board

# Seconds: without a sign of life, between two looks at the board, and until all have read why the first one ends.
HEARTBEAT, LOOK, TOLD = 30, 1, 10
LOST = "another process of this run has ended, or cannot be reached; run the same command in all again to resume"
# What JAX's log says where it aborts, the exit status, and what we say; {} is what the pattern finds.
ABORTS = (
    (
        r"(\d+) unexpectedly tried to connect with a different incarnation",
        Lost.status,
        "process {} was started a second time; run the same command again to resume, and start each process once",
    ),
    (
        r"request from a newer incarnation()",
        InputError.status,
        "another process of this run has the same id; each needs its own",
    ),
    (
        r"Unexpected task registered with task=(\d+)",
        InputError.status,
        "process 0 was started with fewer processes: there is no process {} then",
    ),
    (r"distributed service()", Lost.status, LOST),
)
_PROGRAM = "launch.py: "
# Held by the thread that ends this process: one reason is enough.
_ENDING = threading.RLock()
# What must live as long as the process.
_KEPT: list[Any] = []


def end(line: str, *, status: int, together: bool = False) -> NoReturn:
    """Print a line to standard error and end this process.

    Args:
      line: the reason, in one line.
      status: the exit status.
      together: whether all processes end here and wait for each other; else this one ends at once, and the others
        because of it, in the same line.
    """
    claim()
    print(line, file=sys.stderr, flush=True)
    sys.stdout.flush()
    if not jax.distributed.is_initialized():
        _ENDING.release()
        sys.exit(status)
    with suppress(Exception):  # another one is lost: this one ends all the same
        if together:
            jax.distributed.shutdown()
        elif board.here:
            tell(board.here, line, status)
    os._exit(status)  # sys.exit would wait for the others


def claim() -> None:
    """Let only this thread end this process from now on."""
    _ENDING.acquire()


def unexpected(error: Exception) -> NoReturn:
    """End this process with the traceback of an error, unless the error comes from the loss of another process.

    Once they compute together, that can surface as almost any error here, and before then as one of JAX. JAX then
    aborts this process once it misses the other's heartbeats.
    """
    if jax.distributed.is_initialized():
        if isinstance(error, jax.errors.JaxRuntimeError) or (board.here and board.here.begun):
            time.sleep(HEARTBEAT + 10)
        end("".join(traceback.format_exception(error)), status=1)
    raise error


def watch(here: Board) -> None:
    """End this process once another one tells why it ends; stop when Python ends, with all processes."""
    stopped = threading.Event()
    thread = threading.Thread(target=_watch, args=(here, stopped), daemon=True)
    thread.start()
    atexit.register(_leave, thread, stopped)


def quiet() -> tuple[int, int]:
    """Send what JAX's libraries write, as Gloo does of each connection, to a file; return it and standard error."""
    log, error = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115 (for the life of the process)
    _KEPT.append(log)
    sys.stdout, sys.stderr = (
        streams.lasting(os.dup(stream.fileno()), like=stream) for stream in (sys.stdout, sys.stderr)
    )
    logging.get_absl_handler().python_handler.stream = sys.stderr
    for number in (1, 2):
        os.dup2(log.fileno(), number)
    return log.fileno(), error


def in_one_line(log: int, error: int) -> None:
    """Let JAX end this process in one line where it would abort, as when another process is lost."""

    def abort(_: int) -> None:
        _ENDING.acquire(timeout=2 * HEARTBEAT)
        text = os.pread(log, 2**20, max(0, os.fstat(log).st_size - 2**20))
        status, reason = aborted(text.decode(errors="replace")) or (128 + signal.SIGABRT, None)
        os.write(error, f"{_PROGRAM}{reason}\n".encode() if reason else text)
        os._exit(status)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(abort)
    _KEPT.append(handler)
    # From C, because Python calls its own handlers only in the main thread, which waits for the other process.
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


def aborted(log: str) -> tuple[int, str] | None:
    """Return the exit status and the line for an abort of JAX; None if it is not because of other processes."""
    for pattern, status, line in ABORTS:
        if found := re.search(pattern, log):
            return status, line.format(found[1])
    return None


def ended(process: int, line: str) -> str:
    """Write the last line of what another process ended with as the line of this one."""
    return f"{_PROGRAM}process {process} ended: {line.strip().splitlines()[-1].removeprefix(_PROGRAM)}"


def tell(here: Board, line: str, status: int) -> None:
    """Tell the other processes why this one ends; the first, which has the board, waits until they have read it."""
    with suppress(jax.errors.JaxRuntimeError):  # another one has told
        here.put("end", json.dumps({"process": here.index, "line": line, "status": status}))
    _read(here)


def _read(here: Board) -> None:
    """Note that this process knows why the run ends; in the first, wait for all."""
    here.put(f"read/{here.index}", "")
    end = time.monotonic() + TOLD
    for other in range(1, here.count) if here.index == 0 else ():
        here.wait(f"read/{other}", within=end - time.monotonic())


def _watch(here: Board, stopped: threading.Event) -> None:
    while not stopped.wait(LOOK):
        text = None
        with suppress(jax.errors.JaxRuntimeError):  # of a coordinator that is gone: JAX ends this process
            text = here.look("end") if jax.distributed.is_initialized() else None
        if text:
            told = json.loads(text)
            with _ENDING:
                print(ended(told["process"], told["line"]), file=sys.stderr, flush=True)
                sys.stdout.flush()
                with suppress(Exception):
                    _read(here)
                os._exit(told["status"])


def _leave(thread: threading.Thread, stopped: threading.Event) -> None:
    with suppress(Exception):
        jax.distributed.shutdown()  # waits for all; until then one of them may tell why it ends
    stopped.set()
    thread.join()
