"""Runs to inject faults into: two small networks on the digits, and what they must end in."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxembed.artifacts import encoder_file

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 190, 19
TRAIN = ("epochs=10", "log_every=10", f"checkpoint_every={EVERY}", "validate_every=4")
SHORT = (
    *(f"--config.train.{option}" for option in TRAIN),
    *(f"--config.evaluate.{probe}.epochs=2" for probe in ("linear", "mlp")),
)
# A plain network, and one whose state has more to lose: statistics of BatchNorm, dropout, random views.
NETWORKS = {
    "fc": ("--config=configs/quickstart.py",),
    "cnn": (
        "--config=configs/quickstart.py",
        "--config.encoder={'name': 'cnn', 'widths': (8, 16), 'depth': 1, 'stem': 'strided', 'latent': 8, "
        "'dropout': 0.2}",
        "--config.objective={'name': 'ntxent', 'temperature': 0.5, 'projection': (16, 8), 'augmentation': "
        "{'crop': {'min_area': 0.3, 'max_area': 1.0}}}",
    ),
}
# What differs between two runs that are the same.
CLOCK = {"seconds", "images_per_second", "share_of_peak", "train_seconds", "command"}


class Ended(NamedTuple):
    """How a command ended: exit status (negative: killed by that signal), standard output, standard error."""

    status: int
    out: str
    err: str


def start(network: str, folder: Path, *more: str, shell: str = "", **variables: str) -> subprocess.Popen:
    """Start launch.py on a network's run; `shell` is what a shell does first, such as setting a limit."""
    command = [sys.executable, "launch.py", *NETWORKS[network], *SHORT, f"--workdir={folder}", *more]
    if shell:
        command = ["bash", "-c", f'{shell} exec "$@"', "bash", *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ | variables, **pipes)


def end(process: subprocess.Popen, *, seconds: float = 300) -> Ended:
    """Wait for a command; one that hangs is killed, and fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"hangs: {process.communicate()[1]}") from None
    return Ended(process.returncode, out, err)


def finish(network: str, folder: Path, *more: str) -> Ended:
    """Run a network's run to its end, and return how it ended."""
    return end(start(network, folder, *more))


def check_error(ended: Ended, status: int) -> str:
    """Assert that a command ended with this status and a line that gives the reason; return that line."""
    assert ended.status == status, ended
    assert "Traceback" not in ended.err, ended.err
    *_, line = ended.err.splitlines() or [""]
    assert line.startswith("launch.py: "), ended.err
    return line


def check_same(folder: Path, whole: Path) -> None:
    """Assert that a run ended as one that nothing happened to: every number, every picture, and nothing else."""
    assert _names(folder) == _names(whole)
    assert record(folder / "result.json") == record(whole / "result.json")
    assert _lines(folder) == _lines(whole)
    ours, theirs = (encoder_file.read(each / encoder_file.FILE) for each in (folder, whole))
    np.testing.assert_equal(ours._asdict(), theirs._asdict())
    for name in ("config.json", *(f"figures/{file.name}" for file in _figures(whole))):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    with np.load(folder / "sample.npz") as ours, np.load(whole / "sample.npz") as theirs:
        assert set(ours) == set(theirs)
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def wait_until(condition: Any, process: subprocess.Popen) -> None:
    """Wait until something is true of a command that runs, or until it has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.001)


def _names(folder: Path) -> set[str]:
    """List all files of a run; of a checkpoint, only its folder."""
    files = (file.relative_to(folder) for file in folder.rglob("*"))
    return {str(file) for file in files if file.parts[0] != "checkpoint" or len(file.parts) < 3}


def _figures(folder: Path) -> list[Path]:
    return sorted((folder / "figures").iterdir())


def record(file: Path) -> dict[str, Any]:
    return {name: value for name, value in json.loads(file.read_text()).items() if name not in CLOCK}


def _lines(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]
