"""A suite: looked at before it starts, resumed where it stopped, and ending with the report."""

import runpy
import signal
from pathlib import Path

import finished_runs
import jax
import pytest
from ml_collections import ConfigDict

from jaxembed import report
from jaxembed.core import options
from jaxembed.core.errors import Diverged, Incomplete, InputError, Lost, OutOfMemory, Stopped
from jaxembed.devices import processes
from jaxembed.jobs import commands, suite
from jaxembed.run import build

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def config() -> ConfigDict:
    return runpy.run_path(str(CONFIGS / "suite_quickstart.py"))["get_config"]()


def jobs(config, folder):
    return options.call(suite.jobs, config, folder, CONFIGS, None, "", what="config")


def run(config, folder, *, configs=CONFIGS):
    suite.train(config, folder, configs=configs, data_dir=None, track="", again=False)


def test_an_experiment_of_a_suite_has_overrides_of_its_own(config, tmp_path):
    values = {"train": {"epochs": 7}, "objective": {"margin": 2.0}}
    first, second = jobs(ConfigDict(config.to_dict() | {"each": {"quickstart_margin": values}}), tmp_path)
    assert (first.config.train.epochs, first.config.train.validate_every) == (3, 1)
    assert (second.config.train.epochs, second.config.train.validate_every) == (7, 1)
    assert second.config.objective.margin == 2
    assert "--config.train.epochs=7" in second.command
    assert "--config.objective.margin=2.0" in second.command


def test_a_suite_resumes_where_it_stopped_and_ends_with_the_report(config, tmp_path, capsys, monkeypatch):
    config.overrides = {"train": {"epochs": 2}, "evaluate": {"linear": {"epochs": 1}}}
    started = []

    def stopped_before_the_second(job):
        started.append(job)
        if len(started) == 2:
            raise KeyboardInterrupt
        finished_runs.make(job.folder, experiment=job.name, dataset="digits")
        (job.folder / "config.json").write_text(job.config.to_json())

    monkeypatch.setattr(commands, "train", stopped_before_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path)
    assert not (tmp_path / "report").exists()
    run(config, tmp_path)
    assert [job.name for job in started] == ["quickstart", "quickstart_margin", "quickstart_margin"]
    assert [job.config.train.epochs for job in started] == [2, 2, 2]
    assert capsys.readouterr().out.splitlines()[-1] == f"Report: {tmp_path}/report/report.html"
    names = {file.name for file in (tmp_path / "report").iterdir()}
    compared = {f"{name}_comparison_digits.png" for name in ("embedding", "distance", "few_label", "class")}
    compared.add("learning_curves_digits.png")
    assert names == {"report.html", "report.md", "report.pdf"} | compared
    overrides = "--config.evaluate.linear.epochs=1 --config.train.epochs=2"
    assert started[2].command == f"python launch.py --config={CONFIGS}/quickstart_margin.py {overrides} --seed=0"


FAILURES = {
    "diverged": (Diverged("loss became nan"), "loss became nan"),
    "memory": (OutOfMemory("out of memory"), "out of memory"),
    "damage": (InputError("sample.npz is damaged"), "sample.npz is damaged"),
    "disk": (OSError(28, "No space left on device", "x"), "[Errno 28] No space left on device: 'x'"),
    "anything else": (ZeroDivisionError("division\nby zero"), "ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_run_that_fails_does_not_end_the_suite_and_the_others_are_in_the_report(
    failure, config, tmp_path, monkeypatch, capsys
):
    config.seeds = (0, 1)
    reported, (error, text) = [], FAILURES[failure]

    def one_fails(job):
        if (job.name, job.config.seed) == ("quickstart", 1):
            raise error
        finished_runs.make(job.folder, experiment=job.name, seed=job.config.seed)

    monkeypatch.setattr(commands, "train", one_fails)
    monkeypatch.setattr(report, "write", lambda runs, folder: reported.extend(runs) or [folder / "report.html"])
    with pytest.raises(Incomplete, match=r"1 of 4 runs failed: .*quickstart/seed1"):
        run(config, tmp_path)
    assert f"\n{tmp_path}/quickstart/seed1: {text}\n" in capsys.readouterr().out
    assert [run.name for run in reported] == [
        "quickstart, seed 0",
        "quickstart_margin, seed 0",
        "quickstart_margin, seed 1",
    ]


def test_a_finished_run_that_the_report_cannot_read_does_not_end_the_suite(config, tmp_path, monkeypatch, capsys):
    (job, *_) = jobs(config, tmp_path)
    finished_runs.make(job.folder, experiment="quickstart")
    (job.folder / "config.json").write_text(job.config.to_json())
    (job.folder / "sample.npz").unlink()
    monkeypatch.setattr(commands, "train", lambda job: finished_runs.make(job.folder, experiment=job.name))
    monkeypatch.setattr(report, "write", lambda runs, folder: [f"report on {len(list(runs))} run"])
    with pytest.raises(Incomplete, match=r"1 of 2 runs failed: .*quickstart/seed0"):
        run(config, tmp_path)
    assert "has no sample.npz" in capsys.readouterr().out


def test_a_run_that_lacks_only_figures_has_failed_and_is_in_the_report(config, tmp_path, monkeypatch):
    def undrawn(job):
        finished_runs.make(job.folder, experiment=job.name)
        raise Incomplete("1 figures cannot be drawn")

    monkeypatch.setattr(commands, "train", undrawn)
    reported = []
    monkeypatch.setattr(report, "write", lambda runs, folder: reported.extend(runs) or [folder / "report.html"])
    with pytest.raises(Incomplete, match="2 of 2 runs failed"):
        run(config, tmp_path)
    assert len(reported) == 2


def test_of_several_processes_only_what_fails_in_all_of_them_is_one_runs_failure(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    own = [suite._is_its_own(error) for error in (Diverged("nan"), OutOfMemory("x"), OSError(28, "full"))]
    assert own == [True, True, False]


@pytest.mark.parametrize("error", [Stopped(signal.SIGTERM, "stopped"), Lost("another process has ended")])
def test_a_signal_ends_the_suite(error, config, tmp_path, monkeypatch):
    def stop(job):
        raise error

    monkeypatch.setattr(commands, "train", stop)
    with pytest.raises(type(error)):
        run(config, tmp_path)


def test_a_finished_run_that_was_evaluated_with_other_settings_is_refused_first(config, tmp_path, monkeypatch):
    (job, *_) = jobs(config, tmp_path)
    finished_runs.make(job.folder, experiment="quickstart")
    (job.folder / "config.json").write_text(job.config.to_json())
    config.overrides = {"train": {"epochs": 3, "validate_every": 1}, "evaluate": {"neighbours": 7}}
    monkeypatch.setattr(commands, "train", lambda _: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"config\.evaluate\.neighbours is 5 there, 7 here; use --evaluate"):
        run(config, tmp_path)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_seeds_train_side_by_side_where_they_are_asked_to_and_there_is_an_accelerator(
    backend, config, tmp_path, monkeypatch
):
    config.seeds, config.together = (0, 1, 2), ("quickstart",)
    ahead, alone = [], []
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(commands, "train_side_by_side", lambda group: ahead.append([job.folder for job in group]))
    monkeypatch.setattr(commands, "complete", lambda job: None)
    monkeypatch.setattr(report, "write", lambda runs, folder: [folder])
    monkeypatch.setattr(build, "run", lambda *_: None)
    monkeypatch.setattr(commands, "train", lambda job: alone.append(job.folder) or done(job))

    def done(job):
        finished_runs.make(job.folder, experiment=job.name, seed=job.config.seed)
        (job.folder / "config.json").write_text(job.config.to_json())

    listed = jobs(config, tmp_path)
    done(listed[1])
    run(config, tmp_path)
    assert ahead == ([[listed[0].folder, listed[2].folder]] if backend == "gpu" else [])
    assert alone == [job.folder for job in listed if job is not listed[1]]


def test_an_empty_section_replaces_one_as_it_does_on_the_command_line(config, tmp_path):
    config = ConfigDict(
        {"experiments": ("margin_mnist",), "seeds": (0,), "overrides": {"objective": {"augmentation": {}}}}
    )
    (job,) = jobs(config, tmp_path)
    assert not job.config.objective.augmentation
    assert "'--config.objective.augmentation={}'" in job.command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:", r"quickstart\.py: SyntaxError: invalid syntax"),
        ("1 / 0", r"quickstart\.py: ZeroDivisionError: division by zero"),
        ("x = 1", r"quickstart\.py has no function get_config"),
        ("def get_config(): return 3", r"quickstart\.py: get_config must return a ConfigDict, got int"),
    ],
)
def test_an_experiment_whose_file_makes_no_config_is_named(text, message, config, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.py").write_text(text)
    with pytest.raises(InputError, match=message):
        run(config, tmp_path / "runs", configs=tmp_path / "configs")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"experiments": ("quickstrat",)}, "config.experiments must be one of .*did you mean 'quickstart'"),
        ({"experiments": ("suite_mnist",)}, "a section of the config must be one of .*got 'experiments'"),
        ({"experiments": ()}, "a suite needs config.experiments and config.seeds"),
        ({"together": ("quickstrat",)}, "config.together must be one of .*did you mean 'quickstart'"),
        ({"seeds": (-1,)}, "config.seed must be a whole number from 0"),
        ({"seeds": (0.5,)}, "config.seeds must be a tuple of whole numbers, got"),
        (
            {"overrides": {"train": {"epoch": 1}}},
            "an option in config.overrides.train must be one of .*did you mean 'epochs'",
        ),
        ({"overrides": {"train": 1}}, "config.overrides.train must be a section, got 1"),
        ({"overrides": {"train": {"epochs": "x"}}}, "config.train.epochs must be a whole number, got 'x'"),
        ({"overrides": {"train": {"batch_size": 60}}}, "must be a multiple of the 8 devices, got 60"),
        ({"overrides": {"seed": 1}}, "config.overrides and .each have no seed"),
        ({"each": {"quickstart": {"seed": 1}}}, "config.overrides and .each have no seed"),
        ({"each": {"quickstrat": {}}}, "config.each must be one of .*did you mean 'quickstart'"),
        (
            {"each": {"quickstart": {"train": {"epoch": 1}}}},
            "config.overrides.train must be .*did you mean 'epochs'",
        ),
        ({"each": {"quickstart": 1}}, "config.each.quickstart must be a section, got 1"),
        ({"seed": 1}, "config has no option 'seed'"),
    ],
)
def test_a_suite_that_makes_no_sense_is_refused_before_anything_is_trained(values, message, config, tmp_path):
    config = ConfigDict(config.to_dict() | values)
    with pytest.raises(InputError, match=message):
        run(config, tmp_path)
    assert not list(tmp_path.iterdir())
