"""What launch.py does with a run, in process: train, resume, evaluate again, tune."""

import json
import re
import shutil

import jax
import pytest
from ml_collections import ConfigDict

from configs import quickstart
from jaxembed.core import files, options
from jaxembed.core.errors import Diverged, Incomplete, InputError, OutOfMemory
from jaxembed.doctor import examination
from jaxembed.evaluate import evaluation, forward, sampling
from jaxembed.figures import drawings, style
from jaxembed.jobs import commands
from jaxembed.jobs.job import Job, command_of
from jaxembed.run import build
from jaxembed.train import loop, session, start, steps

pytestmark = pytest.mark.usefixtures("blank_figures")


def short() -> ConfigDict:
    """The quick start, but quicker."""
    config = quickstart.get_config()
    config.train.epochs, config.evaluate.linear.epochs, config.evaluate.mlp.epochs = 2, 1, 1
    return config


def make(config, folder, **options) -> Job:
    return Job("quickstart", config, folder, "python launch.py", None, **options)


@pytest.fixture
def config():
    return short()


@pytest.fixture(autouse=True)
def few_images_are_sampled(monkeypatch):
    monkeypatch.setattr(sampling, "SIZE", 40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, trained once."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SIZE", 40)
        patch.setattr(session, "_speed", lambda *_: None)
        commands.train(make(short(), folder))
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of that run's folder."""
    return shutil.copytree(trained, tmp_path / "run")


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def record(folder):
    return json.loads((folder / "result.json").read_text())


def test_seeds_that_trained_side_by_side_only_need_to_be_evaluated(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(session, "_speed", lambda *_: None)
    pair = [make(ConfigDict({**config, "seed": seed}), tmp_path / str(seed)) for seed in (0, 1)]
    commands.train_side_by_side(pair)
    assert not any(job.is_finished for job in pair)
    monkeypatch.setattr(steps, "advance", lambda *_: pytest.fail("trained"))
    commands.train(pair[1])
    assert (record(pair[1].folder)["seed"], record(pair[1].folder)["together"]) == (1, 2)
    assert re.search(r"\n\d+ steps in \d+\.\d s for 2 seeds side by side, ", capsys.readouterr().out)


def test_a_finished_run_says_so_and_is_not_touched(config, folder, capsys):
    before = times(folder)
    commands.train(make(config, folder))
    out = capsys.readouterr().out
    assert out.startswith("quickstart is finished; use --evaluate to measure it again\n")
    assert re.search(r"\n  kNN +\d+\.\d\d% +\d+\.\d\d%\n", out)
    assert times(folder) == before


class Counted:
    """Counts the calls of a function by their first argument."""

    def __init__(self, monkeypatch, module, name):
        self.calls, self.function = [], getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, first, *rest, **options):
        self.calls.append(first)
        return self.function(first, *rest, **options)


def test_finished_run_reads_each_file_once(config, folder, monkeypatch):
    read = Counted(monkeypatch, files, "read_json")
    commands.train(make(config, folder))
    assert sorted(file.name for file in read.calls) == ["config.json", "result.json"]


def test_evaluation_hashes_twice_and_parses_each_section_once(config, folder, monkeypatch):
    hashed = Counted(monkeypatch, forward, "fingerprint")
    parsed = Counted(monkeypatch, options, "divide")
    read = Counted(monkeypatch, files, "read_json")
    commands.evaluate(make(config, folder))
    assert len(hashed.calls) == 2  # before and after
    sections = [config.train, config.encoder, config.objective, config.data, config.optimizer, config.evaluate]
    for section in sections:
        keys = set(section) - {"name"}
        assert sum(set(each) - {"name"} == keys for each in parsed.calls) == 1, section
    assert [file.name for file in read.calls] == ["config.json"]


def test_a_finished_run_is_measured_again_without_training(config, folder, monkeypatch):
    before, written = record(folder), (folder / "result.json").stat().st_mtime_ns
    monkeypatch.setattr(loop, "fit", None)
    commands.evaluate(make(config, folder))
    assert (folder / "result.json").stat().st_mtime_ns != written
    assert record(folder) == before


def test_a_figure_that_cannot_be_drawn_costs_no_result_and_is_drawn_later(config, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(drawings.FIGURES, "confusion", drawings.Drawing(lambda run: 1 / 0, "never drawn"))
        with pytest.raises(
            Incomplete, match=r"run: confusion cannot be drawn \(ZeroDivisionError: division by zero\)"
        ):
            commands.evaluate(make(config, folder))
    assert (folder / "result.json").exists()
    assert (folder / "figures" / "embeddings.png").exists()
    before = times(folder)
    monkeypatch.setattr(loop, "fit", lambda *_, **__: pytest.fail("trained"))
    commands.train(make(config, folder))
    assert times(folder).keys() - before.keys() == {folder / "figures" / "confusion.png"}


def test_what_only_the_end_needs_is_tried_while_the_first_steps_are_compiled(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(style, "save", lambda *_: 1 / 0)
        with pytest.raises(InputError, match="figures of a run cannot be drawn here: ZeroDivisionError: division"):
            commands.train(make(config, tmp_path))
    assert not list((tmp_path / "checkpoint").glob("[0-9]*"))


def test_a_folder_that_is_removed_under_a_run_ends_it(config, tmp_path, monkeypatch):
    def remove(*arguments, validate=evaluation.validate):
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").mkdir()  # as orbax does when it saves the next checkpoint
        return validate(*arguments)

    monkeypatch.setattr(evaluation, "validate", remove)
    config.train.validate_every = 1
    with pytest.raises(FileNotFoundError, match=r"metrics\.jsonl"):
        commands.train(make(config, tmp_path / "run"))


def test_evaluating_a_run_that_is_not_finished_trains_it(config, folder):
    before = record(folder)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "checkpoint")
    commands.evaluate(make(config, folder))
    assert record(folder)["encoder_sha256"] == before["encoder_sha256"]


def test_a_run_is_measured_again_by_another_protocol_and_its_config_follows(config, folder):
    before = record(folder)
    config.evaluate.distance, config.train.log_every, config.train.validate_every = "euclidean", 7, 0
    commands.evaluate(make(config, folder))
    after = record(folder)
    assert after["distance"] == "euclidean"
    assert after["encoder_sha256"] == before["encoder_sha256"]
    assert after["metrics"]["test/silhouette"] != before["metrics"]["test/silhouette"]
    kept = json.loads((folder / "config.json").read_text())
    assert (kept["evaluate"]["distance"], kept["train"]["log_every"]) == ("euclidean", 7)


def test_a_finished_run_does_not_show_its_result_for_other_evaluation_settings(config, folder, capsys):
    config.evaluate.distance = "euclidean"
    message = (
        r"was evaluated with different settings: config\.evaluate\.distance is 'cosine' there, 'euclidean' here; "
        r"use --evaluate to measure it again"
    )
    with pytest.raises(InputError, match=message):
        commands.train(make(config, folder))
    assert capsys.readouterr().out == ""


def as_written_before(folder) -> None:
    """Rewrite a config.json as earlier versions wrote it: without later options, with ones that have gone."""
    config = json.loads((folder / "config.json").read_text())
    config["train"] |= {"steps_per_call": 20, "keep": 2, "tensorboard": False}
    for name in ("views", "augmentation"):
        del config["evaluate"][name]
    config["evaluate"]["linear"] |= {"hidden": [], "dropout": 0.0}
    del config["evaluate"]["mlp"]["dropout"]
    (folder / "config.json").write_text(json.dumps(config))


def test_a_run_of_an_earlier_version_is_evaluated_again(config, folder):
    before = record(folder)
    as_written_before(folder)
    commands.evaluate(make(config, folder))
    assert record(folder) == before
    assert "views" in json.loads((folder / "config.json").read_text())["evaluate"]


def test_a_run_of_an_earlier_version_is_resumed(config, folder):
    before = record(folder)
    as_written_before(folder)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "checkpoint")
    lines = (folder / "metrics.jsonl").read_text()
    commands.train(make(config, folder))
    assert record(folder)["encoder_sha256"] == before["encoder_sha256"]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(lines.splitlines())


def test_a_different_config_is_refused_and_the_folder_left_as_it_was(config, folder):
    before = times(folder)
    config.seed, config.encoder.latent = 1, 8
    config.objective.corruption = {"noise": {"deviation": 0.1}}
    message = (
        "was trained with a different config: config.encoder.latent is 16 there, 8 here, "
        "config.objective.corruption is {} there, not set here, "
        "config.objective.corruption.noise.deviation is not set there, 0.1 here, "
        "config.seed is 0 there, 1 here; use a different --workdir"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        commands.train(make(config, folder))
    assert times(folder) == before


def test_tuning_uses_no_test_image_and_the_run_can_be_finished_afterwards(config, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        dataset = build.dataset(config, data_dir=None)
        unseen = dataset._replace(test=dataset.test._replace(images=None))
        patch.setattr(build, "load", lambda *_, **__: unseen)
        commands.tune(make(config, tmp_path))
    shown = capsys.readouterr().out
    written = json.loads((tmp_path / "tuned.json").read_text())
    tuned = dict(re.findall(r"^  (\w+) +([\d.]+)%?$", shown, re.MULTILINE))
    assert " test" not in shown.replace("360 test images", "")
    assert tuned.keys() == {"L1", "kNN", "linear", "MLP", "RankMe"}
    assert f"All numbers: {tmp_path}/tuned.json\n" in shown
    assert not (tmp_path / "result.json").exists()
    commands.train(make(config, tmp_path))
    metrics = record(tmp_path)["metrics"]
    assert tuned["L1"] == f"{metrics['validation/l1']:.4f}"
    assert tuned["kNN"] == f"{100 * metrics['validation/knn_accuracy']:.2f}"
    assert (written["split"], written["command"]) == ("validation", "python launch.py --tune")
    assert {name.partition("/")[0] for name in written["metrics"]} == {"validation"}
    assert all(written["metrics"][name] == metrics[name] for name in written["metrics"])


def test_a_dataset_that_cannot_be_examined_costs_neither_the_result_nor_the_figures(config, folder, monkeypatch):
    (folder / "result.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(examination, "examine", lambda *_, **__: 1 / 0)
        with pytest.raises(Incomplete, match=r"cannot be examined \(ZeroDivisionError.*run the same command again"):
            commands.train(make(config, folder))
    assert (folder / "result.json").exists()
    assert (folder / "figures" / "confusion.png").exists()
    assert not (folder / "doctor" / "leaks.csv").exists()
    commands.train(make(config, folder))
    assert (folder / "doctor" / "leaks.csv").exists()


@pytest.mark.parametrize("lost", ["diagnosis.npz", "doctor/leaks.csv", "figures/loss.png"])
def test_what_a_finished_run_lacks_is_made_by_the_same_command(lost, config, folder, monkeypatch):
    before = record(folder), {file for file in folder.rglob("*") if "checkpoint" not in file.parts}
    (folder / lost).unlink()
    monkeypatch.setattr(loop, "fit", lambda *_, **__: pytest.fail("trained"))
    commands.train(make(config, folder))
    assert (record(folder), {file for file in folder.rglob("*") if "checkpoint" not in file.parts}) == before


def test_a_finished_run_is_not_tuned(config, folder):
    with pytest.raises(InputError, match="--tune works on a single unfinished run"):
        commands.tune(make(config, folder))


def test_a_damaged_result_is_named(config, folder):
    (folder / "result.json").write_text('{"experiment"')
    with pytest.raises(InputError, match=r"result.json is damaged: Expecting ':' delimiter"):
        commands.train(make(config, folder))


def test_a_finished_run_without_its_checkpoint_is_not_trained_again_to_evaluate_it(config, folder):
    result = (folder / "result.json").read_text()
    shutil.rmtree(folder / "checkpoint")
    with pytest.raises(InputError, match="has no checkpoint at its last step"):
        commands.evaluate(make(config, folder))
    assert (folder / "result.json").read_text() == result


def test_a_collapsed_run_says_so_and_what_has_no_finite_value_is_null(config, tmp_path, capsys, monkeypatch):
    # Steps of no length, and weights that are 0: every image gets the same output.
    config.optimizer = {"name": "sgd", "learning_rate": 1e-9, "warmup_epochs": 0.0, "momentum": 0.0}
    config.optimizer.weight_decay = 0.0
    init = start.initial

    def zeros(*arguments, **options):
        state = init(*arguments, **options)
        return state._replace(params=jax.tree.map(lambda leaf: leaf * 0, state.params))

    monkeypatch.setattr(start, "initial", zeros)
    commands.train(make(config, tmp_path))
    result, out = record(tmp_path), capsys.readouterr().out
    assert result["collapsed"] is True
    assert "\nWarning: the embedding has collapsed: different images get nearly identical outputs.\n" in out
    assert result["metrics"]["test/cdnv"] is None
    assert result["metrics"]["test/recall_at_1"] == 0


def test_a_run_that_has_not_collapsed_does_not_say_so(config, folder, capsys):
    assert record(folder)["collapsed"] is False
    commands.train(make(config, folder))
    assert "collapsed" not in capsys.readouterr().out


def test_a_config_that_does_not_fit_leaves_the_folder_free(config, tmp_path):
    config.encoder.latent = 0
    with pytest.raises(InputError, match=r"config\.encoder\.latent must be > 0, got 0"):
        commands.train(make(config, tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_too_little_memory_is_one_line(config, tmp_path, monkeypatch):
    def allocate(*_, **__):
        return jax.numpy.zeros(2_000_000_000_000)

    monkeypatch.setattr(loop, "fit", allocate)
    with pytest.raises(OutOfMemory) as error:
        commands.train(make(config, tmp_path))
    assert re.fullmatch(
        r"out of memory on .*CPU, \d+ cores: RESOURCE_EXHAUSTED: Out of memory allocating \d+ bytes; try a smaller "
        r"config\.train\.batch_size or config\.encoder, with a different --workdir",
        str(error.value),
    )


def test_an_error_of_xla_that_is_not_about_memory_stays_what_it_is(config, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(loop, "fit", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: something else"):
        commands.train(make(config, tmp_path))


def test_a_run_that_diverges_ends_without_a_result(config, tmp_path):
    config.optimizer.learning_rate = 1e9
    with pytest.raises(Diverged, match=r"loss became (nan|inf) at step \d+"):
        commands.train(make(config, tmp_path))
    assert not (tmp_path / "result.json").exists()


def test_a_command_has_its_overrides_flat_and_its_seed_once(config, tmp_path):
    overrides = {"train": {"epochs": 2}, "objective": {"augmentation": {}}}
    written = command_of(tmp_path / "a b.py", overrides | {"seed": 3}, 5)
    assert written.startswith("python launch.py '--config=")
    assert written.endswith("a b.py' '--config.objective.augmentation={}' --config.train.epochs=2 --seed=5")
