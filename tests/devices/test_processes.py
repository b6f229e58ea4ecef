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
import yaml
from conftest import ENCODERS, OBJECTIVES
from ml_collections import ConfigDict
from numpy.testing import assert_allclose

from jaxembed.core import errors
from jaxembed.devices import coordinator, ending, mesh, processes
from jaxembed.run import build
from jaxembed.train import checkpoint, feed, start, steps

SLOW = pytest.mark.slow
ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "configs" / "quickstart.py"
SGD = {"name": "sgd", "learning_rate": 0.02, "warmup_epochs": 0.0, "momentum": 0.9, "weight_decay": 0.0}
# Every objective, and BatchNorm: both use the whole batch, over all processes.
RUNS = {name: ("cnn" if name in ("ntxent", "moco") else "fc", options) for name, options in OBJECTIVES.items()}
RUNS["tiled"] = ("fc", OBJECTIVES["ntxent"] | {"tile": 3})


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


@pytest.mark.parametrize("name", [name if name == "moco" else pytest.param(name, marks=SLOW) for name in RUNS])
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


def launch(folder: Path, port: int | None, index: int = 0, *more: str, **options: str) -> subprocess.Popen:
    arguments = ["--config.train.epochs=40", "--config.train.checkpoint_every=10", f"--workdir={folder}"]
    arguments += more
    arguments += [f"--distributed=127.0.0.1:{port},2,{index}"] if port else []
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, ROOT / "launch.py", f"--config={QUICKSTART}", *arguments]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment, **options)


def started(folder: Path) -> None:
    deadline = time.monotonic() + 300
    while not list((folder / "checkpoint").glob("[0-9]*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


LOST = f"launch.py: {ending.LOST}\n"


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
    assert [each.returncode for each in both] == [2, 2]
    assert "is in use by another run" in first
    assert second == first.replace("launch.py: ", "launch.py: process 0 ended: ")


def test_processes_with_different_configs_end_and_name_the_difference(tmp_path):
    port = free_port()
    both = [launch(tmp_path, port, index, f"--seed={7 * index}") for index in range(2)]
    (_, first), (_, second) = (each.communicate(timeout=300) for each in both)
    assert [each.returncode for each in both] == [2, 2]
    line = "the processes of this run differ: config.seed is 0 in process 0, 7 in process 1\n"
    assert (first, second) == (f"launch.py: process 1 ended: {line}", f"launch.py: {line}")
    assert not list(tmp_path.iterdir())


def test_the_coordinator_listens_only_where_it_was_told_to():
    seat = coordinator.parsed(f"127.0.0.1:{free_port()},2,0")
    assert coordinator.listening(seat) == seat.address


def test_machines_own_name_that_leads_only_to_itself_means_all_its_addresses(monkeypatch):
    seat = coordinator.parsed(f"localname:{free_port()},2,0")
    monkeypatch.setattr(socket, "gethostname", lambda: "localname.example")
    found = socket.getaddrinfo("127.0.0.1", seat.port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(coordinator, "_places", lambda *_: found)
    assert coordinator.listening(seat) in (f"[::]:{seat.port}", f"0.0.0.0:{seat.port}")


def test_port_that_something_else_listens_at_is_refused_by_all_processes(monkeypatch):
    monkeypatch.setattr(coordinator, "_ANSWER", 0.1)
    monkeypatch.setattr(coordinator, "_STRANGE", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(errors.InputError, match=f"cannot listen at {address}: Address already in use"):
            coordinator.listening(coordinator.parsed(f"{address},2,0"))
        with pytest.raises(errors.InputError, match=f"what listens at {address} is not the coordinator"):
            coordinator.wait_for(coordinator.parsed(f"{address},2,1"), within=60)


def test_a_name_that_becomes_known_later_is_waited_for_and_one_that_does_not_is_refused(monkeypatch):
    seat = coordinator.parsed(f"pod-0.run:{free_port()},2,0")
    found, answers = socket.getaddrinfo("127.0.0.1", seat.port, type=socket.SOCK_STREAM), []

    def look_up(*_):
        answers.append(len(answers))
        if len(answers) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(coordinator, "_places", look_up)
    assert coordinator.listening(seat) == seat.address
    monkeypatch.setattr(coordinator, "_NAMED", -1)
    answers.clear()
    with pytest.raises(errors.InputError, match=r"the host pod-0.run is not known: Name or service not known"):
        coordinator.wait_for(seat._replace(index=1), within=60)


def test_the_documented_jobset_says_who_its_processes_are():
    text = (ROOT / "docs" / "cluster.md").read_text()
    jobset = yaml.safe_load(re.search(r"<!-- jobset -->\n```yaml\n(.*?)```", text, re.DOTALL)[1])
    [job] = jobset["spec"]["replicatedJobs"]
    spec, name = job["template"]["spec"], jobset["metadata"]["name"]
    [container] = spec["template"]["spec"]["containers"]
    [way] = [each.partition("=")[2] for each in container["args"] if each.startswith("--distributed=")]
    seats = [coordinator.parsed(way.replace("$(JOB_COMPLETION_INDEX)", str(index))) for index in range(2)]
    assert {seat.host for seat in seats} == {f"{name}-{job['name']}-0-0.{name}"}
    assert {seat.processes for seat in seats} == {spec["completions"]} == {spec["parallelism"]}
    assert {seat.port for seat in seats} == {port["containerPort"] for port in container["ports"]}
    assert (spec["completionMode"], [seat.index for seat in seats]) == ("Indexed", [0, 1])


@pytest.mark.parametrize(
    ("log", "status", "words"),
    [
        (
            "ABORTED: 1 unexpectedly tried to connect with a different incarnation.",
            3,
            "process 1 was started a sec",
        ),
        ("Aborted connect attempt as there is a request from a newer incarnation", 2, "has the same id"),
        ("INVALID_ARGUMENT: Unexpected task registered with task=2", 2, "no process 2"),
        ("the JAX distributed service detected fatal errors", 3, "another process of this run has ended"),
    ],
)
def test_an_abort_of_jax_is_one_line_that_says_why(log, status, words):
    said, line = ending.aborted(
        f"F1130 client.h:80] Terminating process. {log}\n*** Check failure stack trace: ***"
    )
    assert said == status
    assert re.search(words, line)


def test_the_others_print_the_last_line_of_the_one_that_ended():
    line = "Traceback (most recent call last):\n  File ...\nImportError: no libfoo\n"
    assert ending.ended(1, line) == "launch.py: process 1 ended: ImportError: no libfoo"
    assert ending.ended(0, "launch.py: what, wanted, got") == "launch.py: process 0 ended: what, wanted, got"


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("on", "must be auto, off or <coordinator>:<port>,<processes>,<id>, got 'on'"),
        ("host,2,0", "must be auto, off or"),
        ("host:1,2", "must be auto, off or"),
        ("host:1,2,two", "must be auto, off or"),
        ("::1:5,2,0", "must be auto, off or"),
        ("host:1,2,-1", "must be auto, off or"),
        (f"host:1,2,{'9' * 5000}", "must be auto, off or"),
        ("host:0,2,0", "the port must be from 1 to 65535, got 0"),
        ("host:65536,2,0", "the port must be from 1 to 65535, got 65536"),
        ("host:1,0,0", "there must be 1 to 65536 processes, got 0"),
        ("host:1,2,2", "the id must be from 0 to 1, got 2"),
    ],
)
def test_invalid_distributed_value_is_refused(way, message):
    with pytest.raises(errors.InputError, match=message):
        processes.start(way)


def test_missing_cluster_is_reported_in_one_line():
    command = [sys.executable, ROOT / "launch.py", f"--config={QUICKSTART}", "--distributed=auto"]
    pod = os.environ | {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=pod)
    line = "launch.py: --distributed=auto: there is no cluster that JAX knows; in Kubernetes, auto needs "
    assert done.returncode == 2
    assert re.fullmatch(f"{line}.*, or use --distributed=<coordinator>.*\n", done.stderr)
