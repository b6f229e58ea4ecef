"""Several processes train the same run as one, stop together, and end when one of them is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import two_processes
from conftest import ENCODERS, OBJECTIVES
from ml_collections import ConfigDict
from numpy.testing import assert_allclose

from jaxembed.core import errors
from jaxembed.devices import mesh, processes
from jaxembed.run import build
from jaxembed.train import checkpoint, feed, start, steps

SLOW = pytest.mark.slow
ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart.py"
SGD = {"name": "sgd", "learning_rate": 0.1, "warmup_epochs": 0.0, "momentum": 0.9, "weight_decay": 0.0}
# Every objective, and BatchNorm: both use the whole batch, over all processes.
RUNS = {
    "ntxent": ("cnn", OBJECTIVES["ntxent"]),
    "tiled": ("fc", OBJECTIVES["ntxent"] | {"tile": 3}),
    "margin": ("fc", OBJECTIVES["margin"]),
    "classify": ("fc", OBJECTIVES["classify"]),
    "reconstruct": ("fc", OBJECTIVES["reconstruct"]),
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def config_of(config: ConfigDict, name: str) -> ConfigDict:
    encoder, objective = RUNS[name]
    changed = ConfigDict(config.to_dict())
    changed.encoder, changed.objective, changed.optimizer = ENCODERS[encoder], objective, SGD
    return changed


def together(config: ConfigDict, folder: Path) -> Path:
    """Take steps of a run in two processes with four devices each; return the file of what they did."""
    (folder / "run.config").write_text(repr(config.to_dict()))
    command = [sys.executable, ROOT / "tests" / "two_processes.py", folder, str(free_port())]
    both = [subprocess.Popen([*command, str(index)], stderr=subprocess.PIPE, text=True) for index in range(2)]
    for each in both:
        _, error = each.communicate(timeout=100)
        assert (each.returncode, error) == (0, "")
    return folder / "run.npz"


@pytest.mark.parametrize("name", [name if name == "ntxent" else pytest.param(name, marks=SLOW) for name in RUNS])
def test_two_processes_equal_one_device_and_eight(name, config, tmp_path, monkeypatch):
    config = config_of(config, name)
    with np.load(together(config, tmp_path)) as both:
        for devices in (1, 8):
            some = mesh.make(jax.devices()[:devices])
            monkeypatch.setattr(mesh, "make", lambda *_, some=some: some)
            alone = two_processes.take(config, tmp_path / str(devices))
            assert both.keys() == alone.keys()
            for part, array in alone.items():
                assert_allclose(both[part], array, atol=1e-5, rtol=1e-5, err_msg=part)


@SLOW
def test_two_processes_resume_a_run_of_eight_devices(config, tmp_path):
    config = config_of(config, "tiled")
    dataset = build.dataset(config, data_dir=None)
    parts = build.run(config, dataset)
    state = start.initial(parts, dataset, seed=3)
    images, order = (
        mesh.replicate(parts.mesh, dataset.train),
        feed.permute(state.key, 0, len(dataset.train.labels)),
    )
    state, _ = steps.advance(parts, state, feed.Epoch(images, order), 7)
    with checkpoint.Checkpoints(tmp_path / "run.checkpoint") as checkpoints:
        checkpoints.save(state, {})
    whole, _ = steps.advance(parts, state, feed.Epoch(images, order), two_processes.STEPS - 7)
    with np.load(together(config, tmp_path)) as resumed:
        assert len(resumed["losses"]) == two_processes.STEPS - 7
        for part, array in two_processes.arrays(whole).items():
            assert_allclose(resumed[part], array, atol=1e-5, rtol=1e-5, err_msg=part)


def launch(folder: Path, port: int | None, index: int = 0, **options: str) -> subprocess.Popen:
    arguments = ["--config.train.epochs=40", "--config.train.checkpoint_every=10", f"--workdir={folder}"]
    arguments += [f"--distributed=127.0.0.1:{port},2,{index}"] if port else []
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, ROOT / "launch.py", f"--config={QUICKSTART}", *arguments]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment, **options)


def started(folder: Path) -> None:
    deadline = time.monotonic() + 300
    while not list((folder / "checkpoint").glob("[0-9]*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


LOST = f"launch.py: {processes.LOST}\n"


@SLOW
def test_run_of_two_processes_that_is_stopped_and_loses_one_is_finished_by_one(tmp_path):
    folder, port = tmp_path / "run", free_port()
    both = [launch(folder, port, index) for index in range(2)]
    started(folder)
    both[1].send_signal(signal.SIGTERM)
    ends = [each.communicate(timeout=300) for each in both]
    assert [each.returncode for each in both] == [128 + signal.SIGTERM] * 2
    stops = [re.search(r"stopped by SIGTERM at step (\d+) of 760, saved", error)[1] for _, error in ends]
    assert stops[0] == stops[1]
    assert "digits × fc × reconstruct, on 2 × CPU" in ends[0][0]
    assert ends[1][0] == ""

    port = free_port()
    both = [launch(folder, port, index) for index in range(2)]
    while len((folder / "metrics.jsonl").read_text().splitlines()) * 20 < int(stops[0]) + 60:
        time.sleep(0.1)
    both[0].kill()
    both[0].wait()
    assert both[1].communicate(timeout=300) == ("", LOST)
    assert both[1].returncode == errors.Lost.status

    alone = launch(folder, None)
    _, error = alone.communicate(timeout=300)
    assert (alone.returncode, error) == (0, "")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    reached = [line["step"] for line in lines if "train/loss" in line]
    assert reached == sorted(set(reached))
    assert reached[-1] == 760


@SLOW
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_first_process_ends_when_another_is_lost(number, tmp_path):
    folder, port = tmp_path / "run", free_port()
    both = [launch(folder, port, index) for index in range(2)]
    started(folder)
    both[1].send_signal(number)
    _, error = both[0].communicate(timeout=300)
    both[1].kill()
    assert (both[0].returncode, error) == (errors.Lost.status, LOST)


def test_a_folder_in_use_ends_all_processes(tmp_path):
    from jaxembed.artifacts import workdir

    port = free_port()
    with workdir.opened(tmp_path):
        both = [launch(tmp_path, port, index) for index in range(2)]
        (_, first), (_, second) = (each.communicate(timeout=300) for each in both)
    assert (both[0].returncode, both[1].returncode) == (2, errors.Lost.status)
    assert "is in use by another run" in first
    assert second == LOST


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("on", "must be auto, off or <coordinator>:<port>,<processes>,<id>, got 'on'"),
        ("host,2,0", "must be auto, off or"),
        ("host:1,2", "must be auto, off or"),
        ("host:1,2,two", "must be auto, off or"),
        ("host:1,2,2", "the id must be from 0 to 1, got 2"),
    ],
)
def test_invalid_distributed_value_is_refused(way, message):
    with pytest.raises(errors.InputError, match=message):
        processes.start(way)


def test_missing_cluster_is_reported_in_one_line():
    command = [sys.executable, ROOT / "launch.py", f"--config={QUICKSTART}", "--distributed=auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = "launch.py: --distributed=auto: there is no cluster that JAX knows\n"
    assert (done.returncode, done.stderr) == (2, line)
