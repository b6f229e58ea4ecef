"""The command as a user runs it: a complete folder, signals, a full disk, and one line for bad input."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jaxembed.artifacts import finished
from jaxembed.cli import launch_flags, signals
from jaxembed.core import errors
from jaxembed.devices import mesh
from jaxembed.jobs import launch, program
from jaxembed.train import checkpoint
from tests.faults import kills, runs

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "configs" / "quickstart.py"
SUITE = ROOT / "configs" / "suite_quickstart.py"
SHORT = [
    f"--config.{key}.epochs={epochs}" for key, epochs in (("train", 2), ("evaluate.linear", 1), ("evaluate.mlp", 1))
]


class Complete(NamedTuple):
    """What a command that nothing happened to has left: its folder, how it ended, and the seconds it took."""

    folder: Path
    ended: subprocess.CompletedProcess
    seconds: float


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    words = [sys.executable, ROOT / "launch.py", f"--config={QUICKSTART}", *runs.SHORT, "--seed=5"]
    cwd, started = tmp_path_factory.mktemp("complete"), time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)
    return Complete(cwd / "checkpoints" / "quickstart-seed5", ended, time.perf_counter() - started)


def test_command_writes_a_complete_folder_and_prints_its_path(complete):
    folder, ended, _ = complete
    out = ended.stdout
    assert (ended.returncode, ended.stderr) == (0, "")
    assert out.startswith("quickstart: digits × fc × reconstruct, on ")
    assert re.search(r"\n  kNN +\d+\.\d\d% +\d+\.\d\d%\n", out)
    assert re.search(r"\nGood: nearest neighbours have the same class \(kNN .*%, chance \d+\.\d\d%\)\.\n", out)
    assert "Next: jaxembed explore checkpoints/quickstart-seed5\n" in out
    assert re.search(r" images/s \(\d+% of peak\), 0 s left\n", out)
    assert "Files: checkpoints/quickstart-seed5/" in out
    names = {file.name for file in folder.iterdir()}
    files = {"config.json", "encoder.safetensors", "metrics.jsonl", "result.json", "sample.npz"}
    assert names == files | {"diagnosis.npz", ".lock", "checkpoint", "figures", "doctor"}
    drawn = {
        "loss",
        "embeddings",
        "distances",
        "neighbours",
        "confusion",
        "few_labels",
        "reconstructions",
        "doctor",
    }
    assert {file.name for file in (folder / "figures").iterdir()} == {f"{name}.png" for name in drawn}
    assert json.loads((folder / "config.json").read_text())["seed"] == 5
    result = json.loads((folder / "result.json").read_text())
    identity = {"experiment": "quickstart", "dataset": "digits", "encoder": "fc", "objective": "reconstruct"}
    assert result.items() >= (identity | {"seed": 5, "epochs": 10, "steps": runs.STEPS}).items()
    assert result["command"] == " ".join(
        ["python launch.py", f"--config={QUICKSTART}", *sorted(runs.SHORT), "--seed=5"]
    )
    assert result["parameters"] == {"encoder": 17616, "head": 17664}
    assert result["versions"].keys() >= {"jax", "flax", "optax", "orbax-checkpoint"}
    assert result["train_seconds"] > 0
    assert result["images_per_second"] > 0
    assert 0 < result["share_of_peak"] < 2
    assert set(result["metrics"]) >= {
        f"{split}/{name}"
        for split in ("validation", "test")
        for name in ("knn_accuracy", "linear_accuracy", "mlp_accuracy", "l1")
    }
    run = finished.read(folder)
    # The images are the same ones in every run on the dataset, so that runs can be compared.
    assert run.sample.rows.tolist() == np.random.default_rng(0).permutation(360).tolist()
    assert run.measured("test/knn_accuracy") == result["metrics"]["test/knn_accuracy"]


def test_killed_and_resumed_run_equals_uninterrupted_run(complete, tmp_path):
    (tmp_path / "fc").symlink_to(complete.folder)
    result = kills.inject(tmp_path, count=1, networks=("fc",), more=("--seed=5",), wholes={"fc": complete.seconds})
    assert sum(result["kills"]["fc"].values()) >= 1
    assert result["runs that ended like one that was never killed"] >= 1


def test_run_stopped_by_a_signal_can_be_resumed(tmp_path):
    long = [f"--config={QUICKSTART}", "--config.train.epochs=10000", "--workdir=stopped"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "launch.py", *long], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "stopped" / "metrics.jsonl"
    while not (log.exists() and log.stat().st_size):  # so that there is a step to save
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert re.fullmatch(
        r"finishing the current steps and saving; send SIGTERM again to quit immediately\n"
        r"launch.py: stopped by SIGTERM at step \d+ of 190000, saved; run the same command again to resume\n",
        process.communicate()[1],
    )
    assert process.returncode == 128 + signal.SIGTERM


def test_full_disk_at_a_checkpoint_is_reported_in_one_line(tmp_path):
    # A file may grow to 60 KB, and a checkpoint has a larger one.
    limit = ["bash", "-c", 'ulimit -f 60; exec "$@"', "bash", sys.executable, ROOT / "launch.py"]
    words = [*limit, f"--config={QUICKSTART}", *SHORT, "--workdir=run"]
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": os.environ | kills.READS}
    done = subprocess.run(words, check=False, **options)
    folder = tmp_path / "run" / "checkpoint"
    assert (done.returncode, done.stderr) == (1, f"launch.py: [Errno 27] File too large: '{folder}'\n")


def test_waiting_thread_does_not_keep_the_process_alive():
    code = "import threading; from jaxembed.cli import command; "
    code += "threading.Thread(target=threading.Event().wait).start(); "
    code += "command.leave(3, within=0.2); raise SystemExit(1)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 3


ENDINGS = {
    "input": (errors.InputError("what, wanted, got"), 2, "what, wanted, got"),
    "diverged": (errors.Diverged("loss became nan"), 1, "loss became nan"),
    "memory": (errors.OutOfMemory("out of memory"), 1, "out of memory"),
    "incomplete": (errors.Incomplete("1 of 2 runs failed"), 1, "1 of 2 runs failed"),
    "stopped": (errors.Stopped(signal.SIGTERM, "stopped"), 143, "stopped"),
    "server": (urllib.error.HTTPError("x", 404, "Not Found", {}, None), 1, "HTTP Error 404: Not Found"),
    "disk": (OSError(28, "No space left on device", "x"), 1, "[Errno 28] No space left on device: 'x'"),
    "Ctrl-C": (KeyboardInterrupt(), 130, signals.RESUMABLE),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_error_ends_in_one_line_and_its_own_status(ending, monkeypatch, capsys):
    error, status, text = ENDINGS[ending]

    def fail(_):
        raise error

    monkeypatch.setattr(launch, "FLAGS", type("Flags", (), {"config": {}, "distributed": "off"}))
    monkeypatch.setattr(program, "run", fail)
    monkeypatch.setattr(checkpoint, "hush", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        launch.main([])
    assert ended.value.code == status
    assert capsys.readouterr().err == f"launch.py: {text}\n"


BAD = {
    (): "--config is required, such as --config=configs/quickstart.py",
    ("--config=none.py",): "--config=none.py: there is no such file",
    ("--config=none.py", "--config.train.epochs=1"): "--config=none.py: there is no such file",
    ("--config=empty.py",): "empty.py has no function get_config",
    ("--config=broken.py",): "invalid syntax",
    ("--config=raises.py",): "ZeroDivisionError: division by zero",
    ("--config=number.py",): "get_config must return a ConfigDict, got int",
    ("--config=seedless.py",): "the config lacks seed, data",
    (f"--config={QUICKSTART}", "--config.encoder.latnet=3"): "no option 'latnet' (did you mean 'latent'?)",
    (f"--config={QUICKSTART}", "--config.train.epochs=many"): "flag --config.train.epochs=many: invalid",
    (f"--config={QUICKSTART}", "--worckdir=x"): "Unknown command line flag 'worckdir'. Did you mean: workdir",
    (f"--config={QUICKSTART}", "--seed=-1"): "flag --seed=-1: -1 is not a non-negative integer",
    (f"--config={QUICKSTART}", "left", "over"): "unexpected arguments: left over",
    (f"--config={QUICKSTART}", "--tune", "--evaluate"): "--tune works on a single unfinished run",
    (f"--config={SUITE}", "--tune"): "--tune works on a single unfinished run",
    (
        f"--config={SUITE}",
        "--name=x",
    ): "--name must be letters, digits, spaces and . _ -, for a single run, got 'x'",
    (f"--config={QUICKSTART}", "--name=a/b"): "--name must be letters, digits, spaces and . _ -, for a single run",
    (f"--config={SUITE}", "--seed=3"): "--seed works on a single run; for a suite use --config.seeds='(3,)'",
    (f"--config={QUICKSTART}", "--workdir=~nobody-of-this-name/x"): "there is no such home directory",
    (f"--config={QUICKSTART}", os.fsdecode(b"--workdir=\xff")): "/\\udcff must be a path in UTF-8",
    (f"--config={QUICKSTART}", "--config.train.epochs=0.5"): "config.train.epochs must be a whole number, got 0.5",
    (f"--config={QUICKSTART}", "--config.data.validation=1.5"): "config.data.validation must be a share below 1 or",
    (f"--config={QUICKSTART}", "--config.encoder.latent=0"): "config.encoder.latent must be > 0, got 0",
}


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (["--config.train.epochs=many", "--distributed=host:1,2,1"], "host:1,2,1"),
        (["--worckdir=x", "--distributed", "auto"], "auto"),
        (["--worckdir=x"], "off"),
        (["--distributed"], "off"),
    ],
)
def test_command_that_is_refused_still_says_where_the_other_processes_are(words, way):
    assert launch_flags.distributed(["launch.py", *words]) == way


def refused(folder):
    """Run each bad command, all as forks of one process, which has imported what they share: how each ends."""
    (folder / "empty.py").write_text("x = 1\n")
    (folder / "broken.py").write_text("def get_config(:\n")
    (folder / "raises.py").write_text("1 / 0\n")
    (folder / "number.py").write_text("def get_config(): return 3\n")
    (folder / "seedless.py").write_text(
        "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict()\n"
    )
    code = f"""
import os, sys
from jaxembed.jobs import launch
import sklearn.datasets
from absl import app
from jaxembed.cli import launch_flags
from jaxembed.jobs import program
for number, words in enumerate({[list(words) for words in BAD]!r}):
    if not os.fork():
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(f"{{number}}{{stream.name}}", os.O_WRONLY | os.O_CREAT), stream.fileno())
        sys.argv = ["launch.py", *words]
        launch.define()
        try:
            app.run(launch.main, flags_parser=launch_flags.parse)
        except SystemExit as ended:
            print(end="", flush=True)
            print(end="", flush=True, file=sys.stderr)
            os._exit(ended.code)  # the end of Python takes longer than the command
    open(f"{{number}}status", "w").write(str(os.waitstatus_to_exitcode(os.wait()[1])))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, env=environment)
    return {
        words: [(folder / f"{number}{name}").read_text() for name in ("status", "<stdout>", "<stderr>")]
        for number, words in enumerate(BAD)
    }


def test_invalid_command_ends_in_one_line_and_status_2(tmp_path):
    for words, (status, out, err) in refused(tmp_path).items():
        assert (status, out) == ("2", ""), words
        assert err.startswith("launch.py: "), words
        assert err.count("\n") == 1, err
        assert BAD[words] in err, words


def test_message_with_a_long_value_is_one_line_of_bounded_length():
    text = launch_flags.line(f"config.encoder.latent must be <= 65536,\n got {10**4000}; stop")
    assert text.startswith("launch.py: config.encoder.latent must be <= 65536, got 1000")
    assert text.endswith("000; stop")
    assert len(text) < 2100


def test_help_is_complete_and_needs_no_jax(tmp_path):
    done = ran_in_a_notebook("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "0 jax: False"
    assert "python launch.py --config=configs/simclr_cifar.py" in done.stdout
    assert "Folder of the run" in done.stdout


def test_notebook_outlives_each_run_of_launch_in_it(tmp_path):
    done = ran_in_a_notebook("--config=none.py", cwd=tmp_path, times=2)
    assert done.stdout == 2 * "launch.py: --config=none.py: there is no such file\n2 jax: False\n"


def ran_in_a_notebook(*words, cwd, times=1):
    """Run launch.py as `%run` does, in a process that has a life of its own, and streams that are no files."""
    code = f"""
import io, os, runpy, signal, sys
assert "GLIBC_TUNABLES" not in os.environ
before = signal.getsignal(signal.SIGINT)
for _ in range({times}):
    sys.argv = ["launch.py", *{words!r}]
    sys.stdout = sys.stderr = printed = io.StringIO()
    try:
        runpy.run_path({str(ROOT / "launch.py")!r}, run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    finally:
        assert sys.stdout is printed
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    print(printed.getvalue() + str(status), "jax:", "jax" in sys.modules)
assert signal.getsignal(signal.SIGINT) is before
"""
    variables = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    options = {"capture_output": True, "text": True, "env": variables, "cwd": cwd}
    return subprocess.run([sys.executable, "-c", code], check=False, **options)


def test_run_is_checked_without_the_packages_that_only_its_end_needs():
    heavy = ("bokeh", "matplotlib", "reportlab", "scipy", "sklearn", "tensorboardX", "tensorflow_datasets")
    watch = (
        "from jaxembed.jobs import commands, suite; import sys; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize backend 'cuda'")])
def test_missing_devices_are_reported_in_one_line(error, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setattr(launch, "FLAGS", type("Flags", (), {"config": {}, "distributed": "off"}))
    monkeypatch.setattr(checkpoint, "hush", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(mesh.jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit) as ended:
        launch.main([])
    assert ended.value.code == 2
    reason = str(error) or "there is no such device"
    assert capsys.readouterr().err == f"launch.py: JAX_PLATFORMS=cuda cannot be used on this machine: {reason}\n"
