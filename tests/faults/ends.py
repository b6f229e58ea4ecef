"""Ends: a run is killed at moments that are dense in time between its last step and the end of its figures.

Each is killed in a fork of this process, which has imported everything, so that hundreds are quick.
"""

import os
import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import quickstart
from jaxembed import report
from jaxembed.figures import drawings
from jaxembed.jobs import commands, suite
from jaxembed.jobs.job import Job
from tests.faults import runs

IN_A_ROW = 4
# One that is killed would leave half a program in the cache of compiled ones: it only reads.
READS = ("jax_persistent_cache_min_compile_time_secs", 1e9)
# Of the kills: those that come at any moment, and those that come while files are written.
MOMENTS = ("any", "files")


def inject(folder: Path, *, count: int = 300, seed: int = 0) -> dict[str, Any]:
    """Kill ends at least `count` times, of runs, of evaluations and of suites, and compare each with a whole one.

    Returns:
      the kills by kind and by what the folder then held, and how many ended like one that was never killed.
    """
    chosen, killed, same = random.Random(seed), Counter(), 0
    trained = folder / "trained"
    assert _ended(_forked(lambda: commands.tune(_job(trained))))
    kinds = {name: _prepared(folder / name, trained, end) for name, end in KINDS.items()}
    while killed.total() < count:
        for name, (start, whole, seconds) in kinds.items():
            run = shutil.copytree(start, folder / f"{name}{same}")
            for _ in range(IN_A_ROW):
                if held := _killed(run, KINDS[name], chosen, seconds):
                    killed[f"{name}: {held}"] += 1
            assert _ended(_forked(lambda: KINDS[name](run))), run  # noqa: B023
            for each in _folders(whole):
                runs.check_same(run / each, whole / each)
            same += 1
            shutil.rmtree(run)
    return {"kills": dict(sorted(killed.items())), "runs that ended like one that was never killed": same}


def train(folder: Path) -> None:
    """Evaluate a trained run."""
    commands.train(_job(folder / "run"))


def evaluate(folder: Path) -> None:
    """Measure a finished run again, with other settings."""
    job = _job(folder / "run")
    job.config.evaluate.neighbours = 7
    commands.evaluate(job)


def suites(folder: Path) -> None:
    """Evaluate two trained runs and report on them, as a suite does."""
    for job in (_job(folder / "run"), _job(folder / "other")):
        suite._finish(job, again=False)
    report.write(map(suite.finished.read, (folder / "run", folder / "other")), folder / "report")


KINDS = {"train": train, "evaluate": evaluate, "suites": suites}


def _job(folder: Path) -> Job:
    config: ConfigDict = quickstart.get_config()
    config.train.epochs, config.train.checkpoint_every = 2, 19
    config.evaluate.linear.epochs = config.evaluate.mlp.epochs = 1
    return Job("quickstart", config, folder, "", None)


def _folders(whole: Path) -> list[str]:
    return [each.name for each in whole.iterdir() if (each / "config.json").exists()]


def _prepared(folder: Path, trained: Path, end: Callable[[Path], None]) -> tuple[Path, Path, float]:
    """Make the folders that an end starts from, and the whole one; return both and how long the end takes."""
    start = folder / "start"
    shutil.copytree(trained, start / "run")
    if end is suites:
        shutil.copytree(trained, start / "other")
    if end is evaluate:
        assert _ended(_forked(lambda: train(start)))
    whole, begun = shutil.copytree(start, folder / "whole"), time.monotonic()
    assert _ended(_forked(lambda: end(whole)))
    return start, whole, time.monotonic() - begun


def _killed(run: Path, end: Callable[[Path], None], chosen: random.Random, seconds: float) -> str | None:
    """Kill an end; return what the folder then held, or None if it had ended."""
    before = _written(run)
    child = _forked(lambda: jax.config.update(*READS) or end(run))
    if chosen.choice(MOMENTS) == "any":
        time.sleep(seconds * chosen.random())
    else:  # once the first file of the evaluation is there
        while _written(run) == before and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.0005)
        time.sleep(chosen.choice((0.01, 0.1, 1)) * chosen.random())
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        return None
    folder = run / "run"
    if (folder / ".new").exists():
        return "files half written"
    if not (folder / "result.json").exists():
        return "no result"
    return "whole" if len(list((folder / "figures").glob("*.png"))) == len(drawings.FIGURES) else "figures missing"


def _written(run: Path) -> set[tuple[str, int]]:
    return {(str(file), file.stat().st_mtime_ns) for file in run.glob("*/.new")} | {
        (str(file), file.stat().st_mtime_ns) for file in run.glob("*/result.json")
    }


def _forked(run: Callable[[], None]) -> int:
    """Run a function in a fork of this process; return the number of the fork."""
    if child := os.fork():
        return child
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run()
        status = 0
    except BaseException:  # the fork must not continue as this process would
        traceback.print_exc()
    finally:
        os._exit(status)


def _ended(child: int) -> bool:
    _, status = os.waitpid(child, 0)
    return status == 0
