"""Runs that start from weights: what their config.json says, and what happens when the weights change or go."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import quickstart
from jaxembed.artifacts import encoder_file
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen
from jaxembed.evaluate import sampling
from jaxembed.jobs import commands, job, suite
from jaxembed.jobs.job import Job
from jaxembed.run import build, origin
from jaxembed.train import log, session, start

pytestmark = pytest.mark.usefixtures("blank_figures")
# The file keeps half of each number's bits: what a run starts from has a SHA-256 of its own.
GIVEN = origin.read("quickstart")
SHA256 = GIVEN.sha256


def short(**encoder) -> ConfigDict:
    """The quick start, but quicker, and from another one's encoder."""
    config = quickstart.get_config()
    config.train.epochs, config.evaluate.linear.epochs, config.evaluate.mlp.epochs = 2, 1, 1
    config.train.checkpoint_every, config.train.log_every = 20, 10
    config.encoder.update({"start": "quickstart"} | encoder)
    return config


def make(config, folder) -> Job:
    return Job("quickstart", job.pinned(config, folder), folder, "python launch.py", None)


def record(folder):
    return json.loads((folder / "result.json").read_text())


def write(file: Path, **changes) -> str:
    encoder_file.write(GIVEN._replace(**changes), file)
    return str(file)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(sampling, "SIZE", 40)
    monkeypatch.setattr(session, "_speed", lambda *_: None)


class Killed(Exception):
    """What a kill is here."""


def stopped(config, folder):
    """Begin a run, and end it between two checkpoints."""

    def add_or_die(self, step, count, scores, add=log.Log.add):
        add(self, step, count, scores)
        if step == 30:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log.Log, "add", add_or_die)
        with pytest.raises(Killed):
            commands.train(make(config, folder))


def test_a_run_does_without_its_start_once_it_has_begun_and_equals_one_that_was_not_stopped(tmp_path, capsys):
    file = write(tmp_path / "start.safetensors")
    config, folder = short(start=file), tmp_path / "run"
    stopped(config, folder)
    Path(file).unlink()
    commands.train(make(config, folder))
    missing = f"config.encoder.start: no run folder, encoder file or pretrained encoder {file}"
    assert f"not needed, because the run in {folder} has begun\n" in capsys.readouterr().out
    commands.train(make(short(), tmp_path / "whole"))
    assert record(folder)["encoder_sha256"] == record(tmp_path / "whole")["encoder_sha256"] != SHA256
    kept = json.loads((folder / "config.json").read_text())["encoder"]
    assert (kept["start"], kept["start_sha256"]) == (file, SHA256)
    with make(short(start_sha256=SHA256), folder).held():  # by another name, and told which
        pass
    with pytest.raises(InputError, match="^" + missing):
        make(config, tmp_path / "another")


def test_a_frozen_run_ends_with_the_encoder_that_it_started_from(tmp_path):
    config = short()
    config.train.frozen = True
    commands.train(make(config, tmp_path))
    assert record(tmp_path)["encoder_sha256"] == SHA256
    assert frozen.saved(tmp_path).sha256 == SHA256
    assert make(short(start=str(tmp_path)), tmp_path / "next").config.encoder.start_sha256 == SHA256


def test_a_run_whose_start_has_changed_is_refused_in_one_line(tmp_path):
    file = write(tmp_path / "start.safetensors")
    config, folder = short(start=file), tmp_path / "run"
    stopped(config, folder)
    params = jax.tree.map(lambda leaf: leaf + 1, GIVEN.params)
    write(Path(file), params=params)  # of which the file still says the former SHA-256
    changed = make(config, folder)
    now = changed.config.encoder.start_sha256
    with pytest.raises(InputError, match=f"config.encoder.start_sha256 is '{SHA256}' there, '{now}' here; use"):
        commands.train(changed)
    with pytest.raises(InputError, match=r"config.encoder.start_sha256 is .* there, '' here"):
        commands.train(make(short(start=""), folder))
    with pytest.raises(InputError, match=f"must have the weights of SHA-256 {SHA256}, .*; got {now}$"):
        make(short(start=file, start_sha256=SHA256), tmp_path / "new")
    # Read twice, at the door and when the first state is made.
    dataset = build.dataset(config, data_dir=None)
    run = build.run(config, dataset)
    write(Path(file))
    with pytest.raises(InputError, match=f"must have the weights of SHA-256 {now}, .*; got {SHA256}$"):
        start.initial(run, dataset, seed=0)


NAN = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), GIVEN.params)
WITHOUT = {"MLP_0": {name: part for name, part in GIVEN.params["MLP_0"].items() if name != "Dense_1"}}


@pytest.mark.parametrize(
    ("changes", "encoder", "message"),
    [
        ({}, {"latent": 8}, "does not fit: config.encoder.latent must be 16, got 8"),
        (
            {},
            {"widths": (128, 32), "latent": 8},
            r"config.encoder.widths must be \(128, 64\), got \(128, 32\); 1 more",
        ),
        ({"params": NAN}, {}, "has weights that are not finite"),
        ({"params": WITHOUT}, {}, r"its array params/MLP_0/Dense_1/bias must be \[64\], got absent; 1 more differ"),
        ({}, {"start": 5}, "config.encoder.start must be text, got 5"),
        (
            {},
            {"start": "", "start_sha256": SHA256},
            "config.encoder.start_sha256 needs config.encoder.start, got ''",
        ),
        ({}, {"start": "quickstrat"}, "config.encoder.start: no .* encoder quickstrat .did you mean 'quickstart'"),
        ({}, {"start": "margin_mnist"}, "does not fit: config.encoder.widths must be"),
        ({}, {"start": "simclr_mnist"}, "does not fit: config.encoder.name must be 'cnn', got 'fc'"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_one_line_before_anything_is_written(
    changes, encoder, message, tmp_path
):
    config = short(**{"start": write(tmp_path / "start.safetensors", **changes)} | encoder)
    with pytest.raises(InputError, match=message) as error:
        commands.train(make(config, tmp_path / "run"))
    assert "\n" not in str(error.value)
    assert not [file for file in (tmp_path / "run").rglob("*") if file.name != ".lock"]


def test_an_encoder_of_images_of_another_size_is_refused_by_its_first_array(tmp_path):
    config = short(start=write(tmp_path / "start.safetensors"))
    dataset = build.dataset(config, data_dir=None)
    smaller = dataset.train._replace(images=dataset.train.images[:, :7])
    with pytest.raises(
        InputError, match=r"its array params/MLP_0/Dense_0/kernel must be \[56, 128\], got \[64, 128\]$"
    ):
        build.run(config, dataset._replace(train=smaller))


def test_what_matters_only_while_an_encoder_learns_may_differ(tmp_path):
    config = short(dropout=0.1)
    assert build.run(config, build.dataset(config, data_dir=None)).origin.start_sha256 == SHA256


def test_processes_compare_the_weights_that_they_start_from(tmp_path):
    assert make(short(), tmp_path)._notes()["config.encoder.start_sha256"] == SHA256


def test_a_suite_pins_the_weights_of_its_runs(tmp_path):
    file = tmp_path / "started.py"
    file.write_text(
        "from configs import quickstart\ndef get_config():\n    config = quickstart.get_config()\n"
        "    config.encoder.start = 'quickstart'\n    return config\n"
    )
    listed = {"experiments": ("started",), "seeds": (0, 1), "overrides": {}}
    jobs = options.call(suite.jobs, listed, tmp_path / "suite", tmp_path, None, "", what="config")
    assert [each.config.encoder.start_sha256 for each in jobs] == [SHA256, SHA256]


def test_a_run_without_a_start_has_the_config_that_it_was_given(tmp_path):
    config = short(start="")
    assert job.pinned(config, tmp_path) is config
