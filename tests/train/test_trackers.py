"""Trackers get what metrics.jsonl gets, resume as the run does, and never cost a run."""

import importlib.util
import json
from pathlib import Path

import pytest

from jaxembed.artifacts import workdir
from jaxembed.core.errors import InputError
from jaxembed.run import build
from jaxembed.train import loop, trackers

CONFIG = {"seed": 3, "data": {"name": "digits"}}


def tracked(name, folder, lines):
    """Log lines, (step, loss), as a run in a folder does; it resumes before the first of them."""
    run = trackers.Tracked(name, folder, step=lines[0][0] - 1)
    for step, loss in lines:
        run.log(step, {"train/loss": loss})
    run.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a_run"
    folder.mkdir()
    (folder / workdir.CONFIG).write_text(json.dumps(CONFIG))
    return folder


def needs(name):
    return pytest.mark.skipif(not importlib.util.find_spec(name), reason=f"{name} is not installed")


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_with_the_config_and_all_lines(folder, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path}/mlflow")
    monkeypatch.chdir(tmp_path)
    tracked("mlflow", folder, [(10, 0.5), (20, 0.25)])
    tracked("mlflow", folder, [(20, 0.25), (30, 0.125)])
    client = mlflow.MlflowClient()
    [run] = client.search_runs([client.get_experiment_by_name("jaxembed").experiment_id])
    assert run.info.run_name == "a_run"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"config.seed": "3", "config.data.name": "digits"}
    values = {each.step: each.value for each in client.get_metric_history(run.info.run_id, "train/loss")}
    assert values == {10: 0.5, 20: 0.25, 30: 0.125}


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_has_one_id_and_all_lines(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracked("wandb", folder, [(10, 0.5), (20, 0.25)])
    tracked("wandb", folder, [(30, 0.125)])
    first, second = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    assert first.name == second.name == f"run-{(folder / 'wandb.id').read_text()}.wandb"
    # Each line is there as history and as the summary at that time.
    assert [file.read_bytes().count(b"train/loss") for file in (first, second)] == [4, 2]


@needs("trackio")
@pytest.mark.filterwarnings("ignore")
def test_trackio_has_one_run_with_all_lines(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    from trackio.sqlite_storage import SQLiteStorage

    tracked("trackio", folder, [(10, 0.5), (20, 0.25)])
    tracked("trackio", folder, [(30, 0.125)])
    [name] = SQLiteStorage.get_runs("jaxembed")
    assert name.startswith("a_run-")
    lines = [(line["step"], line["train/loss"]) for line in SQLiteStorage.get_logs("jaxembed", name)]
    assert lines == [(10, 0.5), (20, 0.25), (30, 0.125)]


def test_a_tracker_that_fails_costs_a_warning_and_not_the_run(config, dataset, tmp_path, monkeypatch, caplog):
    from tensorboardX import SummaryWriter

    config.train.epochs, config.train.validate_every, config.optimizer.warmup_epochs = 1, 0, 0.0
    monkeypatch.setattr(SummaryWriter, "add_scalar", lambda *_: 1 / 0)
    state = loop.fit(build.run(config, dataset), dataset, tmp_path, seed=3, track="tensorboard")
    assert int(state.step) == 4
    line = "--track=tensorboard failed, and gets no more of this run: ZeroDivisionError: division by zero"
    assert caplog.text.count(line) == caplog.text.count("--track") == 1


def test_a_tracker_that_cannot_be_opened_is_one_line(folder, monkeypatch):
    from tensorboardX import SummaryWriter

    monkeypatch.setattr(SummaryWriter, "__init__", lambda *_, **__: Path("/no/folder").touch())
    with pytest.raises(InputError, match=r"^--track=tensorboard: FileNotFoundError: .*/no/folder'$"):
        trackers.Tracked("tensorboard", folder, step=0)


def test_a_tracker_that_is_not_there_or_not_installed_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"^--track must be one of mlflow, tensorboard, .*; got 'tensorbord'"):
        trackers.require("tensorbord")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"^--track=wandb needs wandb: pip install 'jaxembed\[wandb\]'$"):
        trackers.require("wandb")
