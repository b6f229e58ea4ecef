"""Interrupts: every program gets a signal at a random moment, also during its imports, and must end in one line."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxembed.artifacts import encoder_file
from jaxembed.cli import signals
from tests import finished_runs
from tests.faults import runs
from tests.faults.kills import READS

# The arguments of each program, in which IN is a folder with what it reads, and OUT one for what it writes.
PROGRAMS = {
    "launch.py": (*runs.NETWORKS["fc"], *runs.SHORT, "--workdir=OUT/run"),
    "embed": ("quickstart", "IN/photos", "--output=OUT/photos.parquet"),
    "search": ("quickstart", "IN/photos.npz", "IN/photos/0.png", "--output=OUT/search.png"),
    "explore": ("quickstart", "IN/photos.npz", "--port=0"),
    "export": ("quickstart", "--format=safetensors", "--output=OUT/quickstart.safetensors"),
    "doctor": ("quickstart", "IN/photos", "--output=OUT/doctor"),
    "measure": ("quickstart", "--on=digits", "--workdir=OUT/measured"),
    "report": ("IN/run", "--output=OUT/report"),
}
# By a file's suffix: raises an error unless the file is whole.
WHOLE: dict[str, Callable[[Path], Any]] = {
    ".json": lambda file: json.loads(file.read_text()),
    ".npz": lambda file: dict(np.load(file)),
    ".parquet": lambda file: _check(file.read_bytes()[-4:] == b"PAR1", file),
    ".pdf": lambda file: _check(file.read_bytes().rstrip().endswith(b"%%EOF"), file),
    ".html": lambda file: _check(file.read_text().rstrip().endswith("</html>"), file),
    ".png": lambda file: Image.open(file).load(),
    ".safetensors": encoder_file.read,
}
FINISHING = "finishing the current steps and saving; "


def inject(
    folder: Path, *, count: int = 200, programs: tuple[str, ...] = tuple(PROGRAMS), seed: int = 0
) -> dict[str, Any]:
    """Send `count` signals in all to programs, each at a random moment from when Python hands over to it.

    Returns:
      how the programs ended: by the signal, or before it came.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background would ignore it
    chosen, happened = random.Random(seed), Counter()
    inputs = _inputs(folder / "in", programs)
    seconds = {program: _whole(program, inputs, folder / "whole") for program in programs}
    for program in itertools.islice(itertools.cycle(programs), count):
        number = chosen.choice(signals.SAVING)
        delay = seconds[program] * chosen.random() ** 2  # more of them early, during the imports
        ended = _interrupted(program, inputs, folder / "out", number, delay)
        happened[f"{program} {'ended before' if ended == 0 else number.name}"] += 1
        shutil.rmtree(folder / "out")
    return {"signals": count, "endings": dict(sorted(happened.items()))}


def _inputs(folder: Path, programs: tuple[str, ...]) -> Path:
    """Make what the programs read."""
    (folder / "photos").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / "photos" / f"{number}.png")
    finished_runs.make(folder / "run")
    if {"search", "explore"} & set(programs):
        command = [sys.executable, "-m", "jaxembed.embed", "quickstart", folder / "photos"]
        subprocess.run([*command, f"--output={folder / 'photos.npz'}"], cwd=runs.ROOT, check=True)
    return folder


def _start(program: str, inputs: Path, out: Path) -> subprocess.Popen:
    out.mkdir()
    words = ["launch.py"] if program == "launch.py" else ["-m", f"jaxembed.{program}"]
    words += [word.replace("IN/", f"{inputs}/").replace("OUT/", f"{out}/") for word in PROGRAMS[program]]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *words], cwd=runs.ROOT, text=True, env=os.environ | READS, **pipes)
    runs.wait_until(lambda: _catches(process.pid), process)
    return process


def _catches(process: int) -> bool:
    """Return whether a process has a handler of its own for SIGTERM, for which Python has none."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def _whole(program: str, inputs: Path, out: Path) -> float:
    """Run a program to its end, or until it serves; return how long that takes from where a signal may come."""
    process = _start(program, inputs, out)
    started = time.perf_counter()
    if program == "explore":
        assert any(line.startswith("Serving") for line in process.stdout)
        process.kill()
    _, err = process.communicate()
    assert process.returncode == (-signal.SIGKILL if program == "explore" else 0), err
    shutil.rmtree(out)
    return time.perf_counter() - started


def _interrupted(program: str, inputs: Path, out: Path, number: signal.Signals, delay: float) -> int:
    """Send a program a signal after a delay, and assert that it ends as it should; return its exit status."""
    process = _start(program, inputs, out)
    time.sleep(delay)
    process.send_signal(number)
    ended = runs.end(process)
    where = (program, number.name, delay, ended)
    # A folder that was read is a line of its own.
    *before, last = [line for line in ended.err.splitlines() if " pictures; " not in line] or [""]
    if ended.status == 0:
        assert not last, where
    else:
        assert ended.status == 128 + number, where
        assert last.startswith((f"{program}: interrupted", f"launch.py: stopped by {number.name}")), where
        assert all(program == "launch.py" and line.startswith(FINISHING) for line in before), where
    for file in out.rglob("*"):
        if "checkpoint" not in file.parts:
            _check(file.suffix != ".partial" and not file.name.startswith(".new"), (where, file))
            WHOLE.get(file.suffix, str)(file)
    return ended.status


def _check(holds: bool, what: Any) -> None:
    assert holds, what
