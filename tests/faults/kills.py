"""Kills: a run is killed with SIGKILL at random moments of every phase, and resumed."""

import contextlib
import itertools
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.faults import runs

PHASES = ("start", "compile", "steps", "save", "evaluation", "figures")
# A command that is killed, or has no room, would leave half a program in the cache of compiled ones: it only reads.
READS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}
# Kills of one run before it may end.
IN_A_ROW = 4
# The environment in which it then ends: what a notebook or a job runner may leave, which must make no difference.
ODD = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


def inject(
    folder: Path,
    *,
    count: int = 200,
    networks: tuple[str, ...] = tuple(runs.NETWORKS),
    seed: int = 0,
    more: tuple[str, ...] = (),
    wholes: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """Kill runs at least `count` times in all, and compare each that ends with one that was never killed.

    Args:
      folder: where they run.
      count: how many kills, at least.
      networks: the names of those that train.
      seed: the seed of the moments.
      more: what the command says besides.
      wholes: the networks whose runs are in the folder already, never killed, and how long they took, in seconds.

    Returns:
      the kills, by network and phase, and the runs that ended like one that was never killed.
    """
    chosen, kills, same = random.Random(seed), {network: Counter() for network in networks}, 0
    seconds = {network: wholes.get(network) or _whole(network, folder, more) for network in networks}
    targets = itertools.cycle(PHASES)
    while sum(counts.total() for counts in kills.values()) < count:
        for network, counts in kills.items():
            run = folder / f"{network}{same}"
            for _ in range(min(IN_A_ROW, count)):
                if killed := _kill(network, run, next(targets), seconds[network] * chosen.random(), more):
                    counts[killed] += 1
            ended = runs.end(runs.start(network, run, *more, shell="exec >&-;", **ODD))
            assert (ended.status, ended.err) == (0, "")
            runs.check_same(run, folder / network)
            same += 1
    return {
        "kills": {network: {phase: counts[phase] for phase in PHASES} for network, counts in kills.items()},
        "runs that ended like one that was never killed": same,
    }


def _whole(network: str, folder: Path, more: tuple[str, ...]) -> float:
    """Run a network's run without a fault, and return how long that takes, in seconds."""
    started = time.perf_counter()
    ended = runs.finish(network, folder / network, *more)
    assert ended.status == 0, ended
    return time.perf_counter() - started


def _kill(network: str, folder: Path, phase: str, delay: float, more: tuple[str, ...]) -> str | None:
    """Start a run and kill it once it is in a phase; return the phase that it was in, or None if it had ended.

    Args:
      network: of the run.
      folder: of the run.
      phase: to wait for; in those that have come before, a run that is resumed may be no longer.
      delay: seconds; of the start, all of it, and a share of it later.
      more: what the command says besides.
    """
    files = _files(folder)
    process = runs.start(network, folder, *more, **READS)
    if phase != "start":
        order = PHASES.index(phase)
        runs.wait_until(lambda: PHASES.index(_phase(folder, files)) >= order, process)
        delay *= {"compile": 0.2, "steps": 0.1, "save": 0.005, "evaluation": 0.3, "figures": 0.2}[phase]
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
        found = _phase(folder, files)
    process.communicate()
    return found if process.returncode == -9 else None


def _phase(folder: Path, before: set[tuple[str, Path, int]]) -> str:
    """Tell the phase of a run from the files that it has, and had when it was started."""
    new = {(place.name, name) for name, place, _ in _files(folder) - before}
    saved = [name for place, name in new if place == "checkpoint"]
    if (folder.name, "result.json") in new or any(place == "figures" for place, _ in new):
        return "figures"
    if str(runs.STEPS) in saved:
        return "evaluation"
    if not all(map(str.isdigit, saved)):
        return "save"
    if saved:
        return "steps"
    return "compile" if (folder.name, "metrics.jsonl") in new else "start"


def _files(folder: Path) -> set[tuple[str, Path, int]]:
    """List a run's files and checkpoints, which may change meanwhile: (name, folder, time)."""
    places = (folder, folder / "checkpoint", folder / "figures")
    found = set()
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            found |= {(entry.name, Path(place), _written(entry)) for entry in os.scandir(place)}
    return found


def _written(entry: os.DirEntry) -> int:
    """Return when a file was written; not of a folder, which changes with what is in it."""
    return entry.stat().st_mtime_ns if entry.is_file() else 0
