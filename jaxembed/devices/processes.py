"""Processes: a run on several machines is the same program on each; one of them, the first, writes its folder.

JAX's runtime connects them (`jax.distributed`), so that its devices are those of all processes; the step and the
mesh are as for one. What differs is here: how processes start and end, who writes, and what they must agree on.
"""

import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from jaxembed.core.errors import InputError, JaxembedError, Lost
from jaxembed.devices import board, coordinator, ending, mesh, notes, software
from jaxembed.devices.coordinator import Seat

# Seconds: until all have come, until the first has written its figures, and for one that only has an error to tell.
CONNECT, END, TELL = 300, 3600, 20
# Seconds between two looks whether the coordinator still answers, and after how many without an answer it is gone.
_LOOK, _MISSED = 4, 3
_KUBERNETES = (
    "; in Kubernetes, auto needs the package kubernetes and the right to read pods and jobs, or use "
    "--distributed=<coordinator>:<port>,<processes>,<id> as docs/cluster.md does"
)


def start(way: str) -> None:
    """Connect this process to the others of its run; call this before anything that uses a device.

    Args:
      way: "off" for a single process; "auto" to ask the cluster, as JAX does of Slurm, Open MPI, Kubernetes and
        Cloud TPU; or "<coordinator>:<port>,<processes>,<id>", where the coordinator is the host of process 0.

    Raises:
      InputError: if this is none of them, there is no cluster, process 0 cannot listen there, something else does,
        or the processes have different software.
      Lost: if not all processes come within five minutes.
    """
    if way == "off":
        return
    _connect(way, within=CONNECT)
    ending.watch(board.here)
    compare({"the number of processes": board.here.count} | software.notes())
    if not is_first():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (for the life of the process)


def refuse(way: str, line: str, *, status: int) -> NoReturn:
    """Tell the other processes why this one does not start, if they come within seconds; then end it."""
    ending.claim()
    with suppress(JaxembedError, jax.errors.JaxRuntimeError):
        _connect(way, within=TELL)
        ending.tell(board.here, line, status)
    os._exit(status)


def compare(noted: Mapping[str, Any], *, begins: bool = False) -> None:
    """Compare what this process goes by with what the first one does, and wait until all have done so.

    Args:
      noted: values by name; those are equal that are written alike.
      begins: whether the processes compute together from here on.

    Raises:
      InputError: if something differs; it says what.
    """
    if board.here:
        notes.compare(board.here, {name: str(value) for name, value in noted.items()})
        board.here.begun |= begins


def count() -> int:
    """Return the number of processes."""
    return jax.process_count()


def is_first() -> bool:
    """Return whether this is the process that writes; it is if there is no other."""
    return jax.process_index() == 0


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Let the first process through this context before the others enter it."""
    key = f"{next(board.here.numbers)}/ahead" if board.here else ""
    if key and not is_first():
        board.here.wait(key)
    yield
    if key and is_first():
        board.here.put(key, "")


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


def _connect(way: str, *, within: int) -> None:
    """Connect to the coordinator, which process 0 starts, and wait for all processes."""
    seat = None if way == "auto" else coordinator.parsed(way)
    end = time.monotonic() + within
    if seat and seat.index:
        coordinator.wait_for(seat, within=within)
    given = _given(seat) if seat else {}
    jax.config.update("jax_enable_preemption_service", False)  # `signals` catches them, and all processes stop
    ending.in_one_line(*ending.quiet())
    # In a thread, so that this one can be interrupted and sees whether the coordinator ends.
    connecting = ThreadPoolExecutor(max_workers=1).submit(
        _initialize,
        way,
        **given,
        initialization_timeout=within + 5 * _LOOK,
        heartbeat_timeout_seconds=ending.HEARTBEAT,
        shutdown_timeout_seconds=END,
    )
    missed = 0
    while not _is_done(connecting):
        missed = missed + 1 if seat and seat.index and coordinator.answers(seat) is not True else 0
        if missed == _MISSED:
            raise Lost(f"--distributed={way}: process 0 has ended before all processes had come")
        if time.monotonic() > end:
            raise Lost(f"--distributed={way}: not all processes have come within {within} seconds")
    board.connect()


def _initialize(way: str, **given: object) -> None:
    """Let JAX connect this process; InputError if it cannot."""
    # RuntimeError is of gRPC; with auto, a cluster's own library may raise anything.
    refusals = Exception if way == "auto" else (ValueError, RuntimeError)
    warnings.filterwarnings("ignore", "Kubernetes environment detected")  # the line below says it
    try:
        jax.distributed.initialize(**given)
    except refusals as error:
        line = str(error).partition("\n")[0].removesuffix(".")
        if way == "auto" and isinstance(error, ValueError):
            line = "there is no cluster that JAX knows"
        hint = _KUBERNETES if way == "auto" and "KUBERNETES_SERVICE_HOST" in os.environ else ""
        raise InputError(f"--distributed={way}: {line}{hint}") from error


def _given(seat: Seat) -> dict[str, object]:
    """Return what JAX is told of a seat."""
    names = {"coordinator_address": seat.address, "num_processes": seat.processes, "process_id": seat.index}
    if seat.index == 0:
        names["coordinator_bind_address"] = coordinator.listening(seat)
    return names | {"cluster_detection_method": "deactivate"}


def _is_done(connecting: Future) -> bool:
    """Return whether this process is connected, after some seconds at most; raise the error if it cannot be."""
    try:
        connecting.result(timeout=_LOOK)
    except TimeoutError:
        return False
    return True
