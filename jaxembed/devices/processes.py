"""Processes: a run on several machines is the same program on each; one of them, the first, writes its folder.

JAX's runtime connects them (`jax.distributed`), so that its devices are those of all processes; the step and the
mesh are as for one. What differs is here: how processes start and end, who writes, and what they must agree on.
"""

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from jaxembed.cli import streams
from jaxembed.core.errors import InputError, Lost
from jaxembed.devices import mesh

WAYS = "auto, off or <coordinator>:<port>,<processes>,<id>"
# Seconds: until all have come, without a sign of life, and until the first has written its figures.
CONNECT, HEARTBEAT, END = 300, 30, 3600
# Held by the thread that ends this process: one reason is enough.
_ENDING = threading.RLock()
# What must live as long as the process.
_KEPT: list[Any] = []
LOST = "another process of this run has ended, or cannot be reached; run the same command in all again to resume"


def start(way: str) -> None:
    """Connect this process to the others of its run; call this before anything that uses a device.

    Args:
      way: "off" for a single process; "auto" to ask the cluster, as JAX does of Slurm, Open MPI, Kubernetes and
        Cloud TPU; or "<coordinator>:<port>,<processes>,<id>", where the coordinator is the host of process 0.

    Raises:
      InputError: if this is none of them, or there is no cluster. If not all processes come within five minutes,
        this one ends as when another is lost.
    """
    if way == "off":
        return
    given = {} if way == "auto" else _parsed(way)
    jax.config.update("jax_enable_preemption_service", False)  # `signals` catches them, and all processes stop
    _end_in_one_line(*_quiet())
    try:
        jax.distributed.initialize(
            **given,
            initialization_timeout=CONNECT,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=END,
        )
    except ValueError as error:
        reason = str(error) if given else "there is no cluster that JAX knows"
        raise InputError(f"--distributed={way}: {reason}") from error
    except RuntimeError as error:  # of gRPC
        raise InputError(f"--distributed={way}: {str(error).splitlines()[0]}") from error
    if not is_first():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (for the life of the process)


def count() -> int:
    """Return the number of processes."""
    return jax.process_count()


def is_first() -> bool:
    """Return whether this is the process that writes; it is if there is no other."""
    return jax.process_index() == 0


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Let the first process through this context before the others enter it."""
    if count() > 1 and not is_first():
        multihost_utils.sync_global_devices("ahead")
    yield
    if count() > 1 and is_first():
        multihost_utils.sync_global_devices("ahead")


class Agreed:
    """A number on which all processes agree: the largest that any of them gave at the call before.

    At the call before, because the answer then is there already: the devices never wait for the host. A single
    process gets its own number at once.
    """

    def __init__(self, devices: jax.sharding.Mesh) -> None:
        """Start with 0."""
        self.devices, self.pending = devices, 0

    def __call__(self, received: Sequence[int]) -> int:
        """Give the first of some numbers, 0 if there are none, and get the one that is agreed on."""
        number = received[0] if received else 0
        if count() == 1:
            return number
        agreed = int(self.pending)
        numbers = mesh.place(self.devices, np.full(jax.local_device_count(), number))
        self.pending = mesh.largest(self.devices, numbers)
        return agreed


def unexpected(error: Exception) -> NoReturn:
    """End this process with the traceback of an error, unless the error comes from the loss of another process.

    That can surface as almost any error here. JAX then aborts this process once it misses the other's heartbeats.
    """
    if jax.distributed.is_initialized():
        time.sleep(HEARTBEAT + 10)
        end("".join(traceback.format_exception(error)), status=1)
    raise error


def end(line: str, *, status: int, together: bool = False) -> NoReturn:
    """Print a line to standard error and end this process.

    Args:
      line: the reason, in one line.
      status: the exit status.
      together: whether all processes end here and wait for each other; else this one ends at once, and the others
        because of it.
    """
    _ENDING.acquire()
    print(line, file=sys.stderr, flush=True)
    sys.stdout.flush()
    if not jax.distributed.is_initialized():
        _ENDING.release()
        sys.exit(status)
    if together:
        with suppress(Exception):  # another one is lost: this one ends all the same
            jax.distributed.shutdown()
    os._exit(status)  # sys.exit would wait for the others


def _parsed(way: str) -> dict[str, object]:
    coordinator, *numbers = way.split(",")
    if len(numbers) != 2 or not all(each.isdecimal() for each in numbers) or ":" not in coordinator:
        raise InputError(f"--distributed must be {WAYS}, got {way!r}")
    processes, index = map(int, numbers)
    if not index < processes:
        raise InputError(f"--distributed={way}: the id must be from 0 to {processes - 1}, got {index}")
    names = {"coordinator_address": coordinator, "num_processes": processes, "process_id": index}
    return names | {"cluster_detection_method": "deactivate"}


def _quiet() -> tuple[int, int]:
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


def _end_in_one_line(log: int, error: int) -> None:
    """Let JAX end this process in one line where it would abort, as it does when another process is lost."""

    def abort(_: int) -> None:
        _ENDING.acquire(timeout=2 * HEARTBEAT)
        text = os.pread(log, 2**20, max(0, os.fstat(log).st_size - 2**20))
        lost = b"distributed service" in text
        os.write(error, f"launch.py: {LOST}\n".encode() if lost else text)
        os._exit(Lost.status if lost else 128 + signal.SIGABRT)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(abort)
    _KEPT.append(handler)
    # From C, because Python calls its own handlers only in the main thread, which waits for the other process.
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)
