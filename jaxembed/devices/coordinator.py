"""The coordinator: the service in process 0 to which all processes of a run connect, and where it is."""

import errno
import ipaddress
import os
import re
import socket
import time
from typing import NamedTuple

from jaxembed.core.errors import InputError, Lost

WAYS = "auto, off or <coordinator>:<port>,<processes>,<id>"
_WAY = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+):([0-9]{1,5}),([0-9]{1,9}),([0-9]{1,9})")
# Seconds: for one answer, and for which it may be of something else, such as a proxy of what is not there yet.
_ANSWER, _STRANGE = 5, 10
# Seconds for which a host's name may be unknown: in a cluster it becomes known when its pod starts.
_NAMED = 30
# HTTP/2's preface and an empty SETTINGS frame; every gRPC server answers with its own SETTINGS frame.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


class Seat(NamedTuple):
    """A process's place in a run, as --distributed says it.

    Attributes:
      host: the host of process 0; an IPv6 address is in brackets.
      port: the coordinator's port.
      processes: how many processes the run has.
      index: this one's number.
    """

    host: str
    port: int
    processes: int
    index: int

    @property
    def address(self) -> str:
        """The coordinator's address."""
        return f"{self.host}:{self.port}"


def parsed(way: str) -> Seat:
    """Parse "<coordinator>:<port>,<processes>,<id>"; InputError if it is not that."""
    match = _WAY.fullmatch(way)
    if not match:
        raise InputError(f"--distributed must be {WAYS}, got {way!r}")
    seat = Seat(match[1], *map(int, match.groups()[1:]))
    if not 0 < seat.port < 2**16:
        raise InputError(f"--distributed={way}: the port must be from 1 to 65535, got {seat.port}")
    if not 0 < seat.processes <= 2**16:
        raise InputError(f"--distributed={way}: there must be 1 to 65536 processes, got {seat.processes}")
    if not seat.index < seat.processes:
        raise InputError(f"--distributed={way}: the id must be from 0 to {seat.processes - 1}, got {seat.index}")
    return seat


def listening(seat: Seat) -> str:
    """Return the address at which process 0 listens, which is free: the coordinator's, and no other.

    JAX_COORDINATOR_BIND_ADDRESS replaces it, as in JAX. A machine's own name means all its addresses where it
    leads only back to the machine, as Debian has it: there no other machine would reach it.

    Raises:
      InputError: if this process cannot listen there.
    """
    told = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS") or seat.address
    host, _, port = told.rpartition(":")
    what = f"--distributed: process 0 cannot listen at {told}"
    try:
        places = _found(host, int(port))
        if _is_own_name(host) and all(ipaddress.ip_address(place[-1][0]).is_loopback for place in places):
            told = f"[::]:{port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{port}"
            places = _places(told.rpartition(":")[0], int(port))
    except (OSError, ValueError) as error:
        raise InputError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
    failed = [error for place in places if (error := _refused(place))]
    if len(failed) == len(places) or any(error.errno == errno.EADDRINUSE for error in failed):
        hint = "is it a free port of this machine, and this the only process 0? If it is another machine's name for"
        hint += " this one, set JAX_COORDINATOR_BIND_ADDRESS"
        raise InputError(f"{what}: {failed[0].strerror}; {hint}")
    return told


def wait_for(seat: Seat, *, within: int) -> None:
    """Return once a coordinator answers.

    Raises:
      InputError: if something else does, or its host's name is not known.
      Lost: if nothing does within a number of seconds.
    """
    end, since = time.monotonic() + within, None
    try:
        _found(seat.host, seat.port)
    except socket.gaierror as error:
        raise InputError(f"--distributed: the host {seat.host} is not known: {error.strerror}") from error
    while (found := answers(seat)) is not True:
        now = time.monotonic()
        since = None if found is False else since or now
        if since and now - since >= _STRANGE:
            raise InputError(f"--distributed: what listens at {seat.address} is not the coordinator of a run")
        if now >= end:
            raise Lost(f"--distributed: no process 0 listens at {seat.address}, after {within} seconds")
        time.sleep(0.5)


def answers(seat: Seat) -> bool | None:
    """Return whether a coordinator answers; None if something else does."""
    try:
        with socket.create_connection((seat.host.strip("[]"), seat.port), timeout=_ANSWER) as connection:
            return _is_coordinator(connection)
    except OSError:
        return False


def _is_coordinator(connection: socket.socket) -> bool | None:
    try:
        connection.sendall(_HELLO)
        frame = connection.recv(9, socket.MSG_WAITALL)
    except OSError:  # it has closed the connection, or says nothing
        return None
    return True if len(frame) == 9 and frame[3:4] == _HELLO[-6:-5] else None


def _found(host: str, port: int) -> list[tuple]:
    """Return the places to connect to or to listen at; socket.gaierror if the name stays unknown."""
    end = time.monotonic() + _NAMED
    while True:
        try:
            return _places(host, port)
        except socket.gaierror:
            if time.monotonic() >= end:
                raise
        time.sleep(0.5)


def _places(host: str, port: int) -> list[tuple]:
    return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


def _refused(place: tuple) -> OSError | None:
    """Try to listen at a place, as `getaddrinfo` returns it; return the error if that fails."""
    family, kind, _, _, address = place
    with socket.socket(family, kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not SO_REUSEPORT, by which gRPC shares a port
        try:
            tried.bind(address)
        except OSError as error:
            return error
    return None


def _is_own_name(host: str) -> bool:
    own = socket.gethostname().casefold()
    return host.casefold() in (own, own.partition(".")[0]) and not own.startswith("localhost")
