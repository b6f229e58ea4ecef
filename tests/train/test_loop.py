"""Training: the same for one device and eight, for a run that was stopped and one that was not."""

import json
import os
import re
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES, tiny
from numpy.testing import assert_allclose
from tensorboardX.proto.event_pb2 import Event, SessionLog

from jaxembed.artifacts import history
from jaxembed.cli import signals
from jaxembed.core.errors import Diverged, InputError, Stopped
from jaxembed.devices import mesh
from jaxembed.evaluate import evaluation
from jaxembed.kernels import winograd
from jaxembed.run import build
from jaxembed.run.run import Run
from jaxembed.train import feed, log, loop, session, start, steps
from jaxembed.types import State

SGD = {"name": "sgd", "learning_rate": 0.5, "warmup_epochs": 0.0, "momentum": 0.0, "weight_decay": 0.0}


def leaves(state) -> list[np.ndarray]:
    state = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def equal(first, second) -> bool:
    return all((a == b).all() for a, b in zip(leaves(first), leaves(second), strict=True))


def test_a_step_is_counted_for_one_device_whatever_the_run_is_on(run, dataset, monkeypatch):
    state, order = start.initial(run, dataset, seed=3), jnp.arange(75)
    count = steps.operations(run, state, feed.Epoch(mesh.replicate(run.mesh, dataset.train), order))
    # The kernels alone, of which two have a gradient by what they were given; 16 images.
    assert count > 16 * 2 * (2 * 63 * 16 + 3 * (16 * 6 + 6 * 8 + 8 * 3))
    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", lambda _: None)  # as for a GPU
    assert steps.operations(run, state, feed.Epoch(dataset.train, order)) is None


def test_rate_is_reported_without_a_share_where_operations_cannot_be_counted(
    run, dataset, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(session, "_speed", lambda *_: None)
    loop.fit(run, dataset, tmp_path, seed=3)
    rated = [line for line in history.read(tmp_path / "metrics.jsonl") if "images_per_second" in line]
    assert rated
    assert all("share_of_peak" not in line for line in rated)
    assert re.search(r"step 12/12: loss \d\.\d{4}, [\d,]+ images/s, 0 s left", capsys.readouterr().out)


def test_the_end_of_a_finished_run_is_restored_or_refused_and_nothing_is_moved(run, dataset, tmp_path):
    end = loop.fit(run, dataset, tmp_path, seed=3)
    assert equal(start.restored(run, dataset, tmp_path, seed=3), end)
    before = sorted(tmp_path.rglob("*"))
    assert {folder.name for folder in (tmp_path / "checkpoint").glob("[0-9]*")} == {"10", "12"}
    for file in (tmp_path / "checkpoint" / "12").rglob("d/*"):
        file.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"no checkpoint in .* can be restored \(12: "):
        start.restored(run, dataset, tmp_path, seed=3)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def resident(dataset, run):
    return mesh.replicate(run.mesh, dataset.train)


def test_training_learns_what_can_be_learned(config, dataset, tmp_path):
    config.train.epochs, config.train.validate_every, config.train.checkpoint_every = 40, 0, 1000
    run = build.run(config, dataset)
    metrics = evaluation.evaluate(run, loop.fit(run, dataset, tmp_path, seed=3), dataset).metrics
    assert metrics["test/accuracy"] > 0.9
    assert metrics["test/knn_accuracy"] > 0.8


class Killed(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


class Story(NamedTuple):
    """A run with a checkpoint every 4 steps: its end, its folder, and that of one killed after 8 steps."""

    run: Run
    end: State
    whole: Path
    killed: Path


@pytest.fixture(scope="module")
def story(dataset, tmp_path_factory) -> Story:
    folder, config = tmp_path_factory.mktemp("story"), tiny()
    config.train.checkpoint_every = 4
    run = build.run(config, dataset)

    def add_or_die(self, step, count, scores, add=log.Log.add):
        if step > 8:
            raise Killed
        add(self, step, count, scores)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_speed", lambda *_: None)
        end = loop.fit(run, dataset, folder / "whole", seed=3)
        patch.setattr(log.Log, "add", add_or_die)
        with pytest.raises(Killed):
            loop.fit(run, dataset, folder / "killed", seed=3)
    return Story(run, end, folder / "whole", folder / "killed")


# With and without BatchNorm, dropout, a teacher and a memory, and several steps a call.
STOPPED = [("fc", "classify"), ("cnn", "moco")]


def interrupt(patch: pytest.MonkeyPatch, stop: int, number: signal.Signals) -> None:
    """Send this process a signal from inside the loop, as a cluster or a keyboard does, at or after a step."""
    add = log.Log.add

    def add_and_stop(self, step, count, scores):
        add(self, step, count, scores)
        if step >= stop:
            os.kill(os.getpid(), number)

    patch.setattr(log.Log, "add", add_and_stop)


def lines(folder) -> dict[int, dict[str, float]]:
    """What metrics.jsonl says of each step, but for the times."""
    timings = ("seconds", "images_per_second", "share_of_peak")
    said: dict[int, dict[str, float]] = {}
    for line in (json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()):
        kept = {name: value for name, value in line.items() if name not in timings}
        assert not kept.keys() & said.get(line["step"], {}).keys() - {"step", "epoch"}
        said.setdefault(line["step"], {}).update(kept)
    return said


@pytest.mark.parametrize(("encoder", "objective"), STOPPED)
def test_resumed_run_equals_uninterrupted_run(encoder, objective, config, dataset, tmp_path):
    config.encoder, config.objective = ENCODERS[encoder], OBJECTIVES[objective]
    # Every step a line, so that a stop falls on the end of one.
    config.train.log_every = 1
    run = build.run(config, dataset)
    whole = loop.fit(run, dataset, tmp_path / "whole", seed=3)
    for stop, number in ((3, signal.SIGHUP), (8, signal.SIGUSR1)):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, stop, number)
            with pytest.raises(Stopped, match=f"{number.name} at step {stop} of 12, saved"):
                loop.fit(run, dataset, tmp_path / "stopped", seed=3)
    assert equal(loop.fit(run, dataset, tmp_path / "stopped", seed=3), whole)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


def test_second_signal_has_its_usual_effect(run, dataset, tmp_path, monkeypatch, capfd):
    add = log.Log.add

    def add_and_stop_twice(self, step, count, scores):
        add(self, step, count, scores)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # two at the same moment are one

    monkeypatch.setattr(log.Log, "add", add_and_stop_twice)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(run, dataset, tmp_path, seed=3)
    assert "press Ctrl-C again to quit immediately" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_is_caught_where_nothing_can_be_written(monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")  # the terminal is closed

    monkeypatch.setattr(os, "write", fail)
    with signals.caught() as received:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.1)
        assert received == [signal.SIGHUP]


def test_a_signal_that_is_ignored_from_the_start_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with signals.caught() as received:
            os.kill(os.getpid(), signal.SIGHUP)
            assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_started_on_eight_devices_resumes_on_one(config, dataset, tmp_path, monkeypatch):
    config.optimizer = SGD | {"learning_rate": 0.05}
    whole = loop.fit(build.run(config, dataset), dataset, tmp_path / "eight", seed=3)
    with monkeypatch.context() as patch:
        interrupt(patch, 6, signal.SIGTERM)
        with pytest.raises(Stopped):
            loop.fit(build.run(config, dataset), dataset, tmp_path / "begun", seed=3)
    monkeypatch.setattr(mesh, "make", lambda: jax.sharding.Mesh(jax.devices()[:1], "data"))
    run = build.run(config, dataset)
    assert run.mesh.size == 1
    resumed = loop.fit(run, dataset, tmp_path / "begun", seed=3)
    assert int(resumed.step) == 12
    for a, b in zip(leaves(resumed), leaves(whole), strict=True):
        assert_allclose(a, b, atol=1e-4)
    reached = list(lines(tmp_path / "begun"))
    assert reached == sorted(set(reached))


def test_a_run_stopped_before_its_first_step_has_nothing_to_save(run, dataset, tmp_path, monkeypatch):
    init = start.initial

    def init_and_stop(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return init(*arguments, **options)

    monkeypatch.setattr(start, "initial", init_and_stop)
    with pytest.raises(Stopped, match=r"stopped by SIGTERM at step 0 of 12; run the same command again to resume$"):
        loop.fit(run, dataset, tmp_path, seed=3)
    assert not list((tmp_path / "checkpoint").iterdir())


def test_killed_run_resumes_from_its_last_checkpoint_and_equals_an_uninterrupted_one(story, dataset, tmp_path):

    def add_or_die(self, step, count, scores, add=log.Log.add):
        add(self, step, count, scores)
        if step == 8:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log.Log, "add", add_or_die)
        with pytest.raises(Killed):
            loop.fit(story.run, dataset, tmp_path / "killed", seed=3)
    # The checkpoint is of step 4, which was validated; of the lines beyond it, one was cut off in the middle.
    file = tmp_path / "killed" / "metrics.jsonl"
    assert max(lines(tmp_path / "killed")) > 4
    file.write_text(file.read_text() + '{"step": 11, "sec')
    assert equal(loop.fit(story.run, dataset, tmp_path / "killed", seed=3), story.end)
    assert lines(tmp_path / "killed") == lines(story.whole)


DAMAGES = {
    "a blank line": (lambda texts: [texts[0], "\n", *texts[1:]], "1 of 7 lines are damaged or repeated"),
    "a line cut in its middle": (
        lambda texts: [texts[0][:9], *texts[1:]],
        "2 of the 5 lines up to step 8 are missing",
    ),
    "a line removed": (lambda texts: texts[:2] + texts[3:], "1 of the 5 lines up to step 8 are missing"),
    "a line doubled": (lambda texts: texts[:2] + texts[1:], "1 of 7 lines are damaged or repeated"),
    "emptied": (lambda _: [], "5 of the 5 lines up to step 8 are missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_log_costs_its_lines_and_not_the_training(damage, story, dataset, tmp_path, caplog):
    file = shutil.copytree(story.killed, tmp_path / "stopped") / "metrics.jsonl"
    change, warning = DAMAGES[damage]
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))
    readable = [json.dumps(line) for line in history.read(file)]
    caplog.clear()
    assert equal(loop.fit(story.run, dataset, tmp_path / "stopped", seed=3), story.end)
    texts = file.read_text().splitlines()
    assert texts[: len(readable)] == readable
    # The validation at step 8 is made again where its line is lost.
    assert [json.loads(text)["step"] for text in texts[len(readable) :]] == [8, 10, 12][len(readable) > 0 :]
    assert warning in caplog.text
    # It is said once: the states saved since then know of the lines there are.
    caplog.clear()
    loop.fit(story.run, dataset, tmp_path / "stopped", seed=3)
    assert caplog.text == ""


def test_a_log_that_is_lost_does_not_set_the_clock_back(story, dataset, tmp_path):
    file = shutil.copytree(story.killed, tmp_path / "lost") / "metrics.jsonl"
    before = history.read(file)[-2]["seconds"]  # when the state was saved
    file.unlink()
    loop.fit(story.run, dataset, tmp_path / "lost", seed=3)
    assert history.read(file)[0]["seconds"] >= round(before, 3) > 0


def test_a_run_is_not_resumed_on_other_images(run, dataset, tmp_path):
    loop.fit(run, dataset._replace(sha256="a"), tmp_path, seed=3)
    with pytest.raises(InputError, match="was trained on other images or labels than rows has now"):
        loop.fit(run, dataset._replace(sha256="b"), tmp_path, seed=3)
    with pytest.raises(InputError, match="was trained on other images or labels than rows has now"):
        start.restored(run, dataset._replace(sha256="b"), tmp_path, seed=3)
    start.restored(run, dataset._replace(sha256="a"), tmp_path, seed=3)


def test_a_validation_that_a_kill_prevented_is_made_up_for(story, dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "validate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.fit(story.run, dataset, tmp_path, seed=3)
    loop.fit(story.run, dataset, tmp_path, seed=3)
    assert "validation/knn_accuracy" in lines(tmp_path)[4]


def test_the_log_averages_the_steps_since_its_last_line(config, dataset, tmp_path):
    config.train.log_every, config.train.validate_every = 4, 0
    each = config.copy_and_resolve_references()
    each.train.log_every = 1
    loop.fit(build.run(config, dataset), dataset, tmp_path / "four", seed=3)
    loop.fit(build.run(each, dataset), dataset, tmp_path / "one", seed=3)
    # A checkpoint every 5 steps writes what there is.
    four, one = lines(tmp_path / "four"), lines(tmp_path / "one")
    assert sorted(four) == [4, 5, 8, 10, 12]
    for end, first in zip(sorted(four), [0, *sorted(four)], strict=False):
        mean = np.mean([one[step]["train/loss"] for step in range(first + 1, end + 1)])
        assert_allclose(four[end]["train/loss"], mean, rtol=1e-4)


def test_outputs_too_far_apart_for_float32_are_warned_of_once(run, tmp_path, caplog):
    with log.opened(tmp_path, run, step=0, notes={}, track="") as opened:
        for step, spread in ((2, 3.0), (4, 2500.0), (6, 2500.0)):
            opened.add(step, 2, {"loss": jnp.ones(()), "spread": jnp.asarray(spread)})
        opened.flush()
    assert caplog.text.count("units apart") == caplog.text.count("step 4: outputs are 2.5e+03 units apart") == 1


def test_tiles_go_round_the_devices_in_a_ring(config, dataset):
    config.objective = OBJECTIVES["ntxent"] | {"tile": 3}
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    step = jax.jit(partial(steps.train_step, run))
    fed = feed.Epoch(mesh.replicate(run.mesh, dataset.train), feed.permute(state.key, 0, 75))
    text = step.lower(state, fed).as_text()
    assert "collective_permute" in text


def test_a_wide_convolution_is_divided_among_the_devices(config, dataset, monkeypatch):
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 1)  # a loop over chunks of few images, as in a large batch
    monkeypatch.setattr(winograd, "CHUNK_TILES", 1)
    config.encoder = ENCODERS["cnn"] | {"widths": (64,), "depth": 2, "dropout": 0.0}
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    fed = feed.Epoch(mesh.replicate(run.mesh, dataset.train), feed.permute(state.key, 0, 75))
    text = jax.jit(partial(steps.train_step, run)).lower(state, fed).compile().as_text()
    # No device gathers what the others computed of their images, [n, h, w, c].
    assert not re.findall(r"f32\[(?:\d+,){3,}64\]\S* all-gather", text)


def test_a_call_of_many_steps_is_that_many_calls_of_one(run, dataset, resident):
    fed = feed.Epoch(resident, feed.permute(jax.random.key(3), 0, 75))
    many, scores = steps.advance(run, start.initial(run, dataset, seed=3), fed, 3)
    one, each = start.initial(run, dataset, seed=3), []
    for _ in range(3):
        one, score = steps.advance(run, one, fed, 1)
        each.append(score["loss"])
    assert int(many.step) == 3
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(leaves(many), leaves(one), strict=True))
    assert_allclose(scores["loss"], np.mean(each), rtol=1e-5)


def test_a_line_whose_scores_are_there_is_not_kept_for_the_next(run, tmp_path):
    with log.opened(tmp_path, run, step=0, notes={}, track="") as journal:
        for step in (1, 2, 3, 4):
            journal.add(step, 1, {"loss": jax.block_until_ready(jnp.float32(step))})
    lines = history.read(tmp_path / "metrics.jsonl")
    assert [(line["step"], line["train/loss"]) for line in lines] == [(2, 1.5), (4, 3.5)]


def test_an_epoch_shows_every_image_at_most_once_and_each_epoch_in_another_order():
    key = jax.random.key(0)
    first, second = feed.permute(key, 0, 50), feed.permute(key, 1, 50)
    assert sorted(np.asarray(first)) == list(range(50))
    assert (first != second).any()
    assert (feed.permute(jax.random.key(1), 0, 50) != first).any()


def test_the_step_trains_on_the_rows_that_the_order_names(config, dataset):
    # Two orders that agree in the first batch take the same first step; a third does not.
    run = build.run(config, dataset)
    resident = mesh.replicate(run.mesh, dataset.train)
    order = jnp.arange(75)
    tail = jnp.concatenate([order[:16], order[16:][::-1]])

    def loss(order):
        fed = feed.Epoch(resident, order)
        return steps.advance(run, start.initial(run, dataset, seed=3), fed, 1)[1]["loss"]

    assert loss(order) == loss(tail)
    assert loss(order) != loss(order[::-1])


def test_every_step_of_an_epoch_has_its_own_rows_and_its_own_draws(run, dataset):
    def views(key, batch):
        return batch.images, batch._replace(images=jnp.full_like(batch.images, jax.random.uniform(key)))

    def score(seen):
        draw = seen.target.images.mean(axis=(1, 2, 3))
        return {
            "loss": seen.outputs.prediction.sum(axis=1),
            "row": seen.target.labels.astype(float),
            "draw": draw,
            "drawn": jax.random.uniform(seen.key),
            "progress": seen.progress,
        }

    run = run._replace(objective=run.objective._replace(views=views, score=score))
    numbered = mesh.replicate(run.mesh, dataset.train._replace(labels=np.arange(75, dtype=np.int32)))
    state, order = start.initial(run, dataset, seed=3), feed.permute(jax.random.key(3), 0, 75)
    rows, draws, drawn, progress = [], [], [], []
    for _ in range(run.steps_per_epoch):
        state, scores = steps.advance(run, state, feed.Epoch(numbered, order), 1)
        rows.append(scores["row"])
        draws.append(float(scores["draw"]))
        drawn.append(float(scores["drawn"]))
        progress.append(float(scores["progress"]))
    assert_allclose(rows, np.asarray(order)[:64].reshape(4, 16).mean(axis=1), rtol=1e-6)
    assert len({*draws, *drawn}) == 8
    assert_allclose(progress, np.arange(4) / run.total_steps, rtol=1e-6)


def test_a_golden_step_of_plain_sgd_by_hand(config, dataset):
    # One step of SGD without momentum or decay on a linear classifier: w - rate × dL/dw, written out in NumPy.
    config.encoder = {"name": "fc", "widths": (), "latent": 4, "dropout": 0.0}
    config.objective = OBJECTIVES["classify"] | {"hidden": (), "dropout": 0.0, "augmentation": {}}
    config.optimizer = SGD
    run = build.run(config, dataset)
    before = start.initial(run, dataset, seed=3)
    w1, b1, w2, b2 = (np.asarray(x) for x in parameters(before))
    order = feed.permute(before.key, 0, 75)
    rows = np.asarray(order)[:16]
    after, _ = steps.advance(run, before, feed.Epoch(mesh.replicate(run.mesh, dataset.train), order), 1)

    x = dataset.train.images[rows].reshape(16, -1) / 255
    code = x @ w1 + b1
    logits = code @ w2 + b2
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (softmax - np.eye(3)[dataset.train.labels[rows]]) / 16
    expected = (
        w1 - 0.5 * x.T @ (error @ w2.T),
        b1 - 0.5 * (error @ w2.T).sum(0),
        w2 - 0.5 * code.T @ error,
        b2 - 0.5 * error.sum(0),
    )
    for ours, theirs in zip(parameters(after), expected, strict=True):
        assert_allclose(ours, theirs, atol=1e-6)


def parameters(state):
    encoder, head = state.params["encoder"]["MLP_0"]["Dense_0"], state.params["head"]["Dense_0"]
    return encoder["kernel"], encoder["bias"], head["kernel"], head["bias"]


def test_a_step_moves_every_statistic_of_batchnorm(config, dataset):
    config.encoder = ENCODERS["cnn"]
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    before = jax.device_get(state.stats)
    order = feed.permute(state.key, 0, 75)
    after, _ = steps.advance(run, state, feed.Epoch(mesh.replicate(run.mesh, dataset.train), order), 1)
    moved = jax.tree.map(lambda old, new: bool((old != new).any()), before, jax.device_get(after.stats))
    assert len(jax.tree.leaves(moved)) == 8
    assert all(jax.tree.leaves(moved))


def test_bfloat16_trains_and_keeps_float32_at_rest(config, dataset, tmp_path):
    config.train.update({"dtype": "bfloat16", "epochs": 1, "validate_every": 0})
    config.optimizer.warmup_epochs = 0.0
    config.encoder = ENCODERS["cnn"]
    run = build.run(config, dataset)
    state = loop.fit(run, dataset, tmp_path, seed=3)
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.stats))} == {jnp.dtype("float32")}
    assert all(np.isfinite(leaf).all() for leaf in leaves(state))


def test_a_run_that_diverges_says_so_in_one_line(config, dataset, tmp_path):
    config.optimizer.learning_rate = 1e9
    # A checkpoint of every step, and nothing else that would look at the loss.
    config.train.checkpoint_every, config.train.log_every, config.train.validate_every = 1, 50, 0
    run = build.run(config, dataset)
    # And again: nothing of it is saved as if it could be resumed.
    for _ in range(2):
        with pytest.raises(
            Diverged, match=r"loss became (nan|inf) at step \d+; lower config.optimizer.learning_rate"
        ):
            loop.fit(run, dataset, tmp_path, seed=3)


def test_tensorboard_gets_the_metrics(config, dataset, tmp_path):
    config.train.epochs, config.train.validate_every, config.optimizer.warmup_epochs = 1, 0, 0.0
    loop.fit(build.run(config, dataset), dataset, tmp_path, seed=3, track="tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_tensorboard_forgets_what_comes_again(config, dataset, tmp_path):
    run = build.run(config, dataset)
    with log.opened(tmp_path, run, step=4, notes={}, track="tensorboard"):
        pass
    [file] = (tmp_path / "tensorboard").glob("events.*")
    assert [event.step for event in events(file) if event.session_log.status == SessionLog.START] == [5]


def events(file):
    content = file.read_bytes()
    while content:
        size = int.from_bytes(content[:8], "little")
        yield Event.FromString(content[12 : 12 + size])  # between their checksums
        content = content[16 + size :]


@pytest.fixture
def early(config, dataset):
    """A run of 12 steps, in the first 7 of which the views of 9×7 images are 6×5."""
    config.encoder, config.objective = ENCODERS["cnn"], OBJECTIVES["ntxent"]
    config.train.early_side, config.train.early_share = 5, 0.6
    return build.run(config, dataset)


def test_early_views_are_smaller_and_keep_their_shape(early, dataset, tmp_path, monkeypatch):
    seen, gradients = [], steps._gradients

    def watched(run, state, views, *rest):
        seen.append(views.shape)
        return gradients(run, state, views, *rest)

    monkeypatch.setattr(steps, "_gradients", watched)
    jax.clear_caches()
    loop.fit(early, dataset, tmp_path, seed=3)
    assert set(seen) == {(32, 6, 5, 1), (32, 9, 7, 1)}
    assert early.early_steps == 7
    assert {6, 7, 8} <= set(lines(tmp_path))
    rated = [line["step"] for line in history.read(tmp_path / "metrics.jsonl") if "images_per_second" in line]
    assert 7 in rated
    assert 8 not in rated  # it compiled


def test_run_with_early_views_resumed_in_either_part_equals_uninterrupted_run(early, dataset, tmp_path):
    whole = loop.fit(early, dataset, tmp_path / "whole", seed=3)
    for stop in (3, 7, 8):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, stop, signal.SIGTERM)
            with pytest.raises(Stopped):
                loop.fit(early, dataset, tmp_path / "stopped", seed=3)
    assert equal(loop.fit(early, dataset, tmp_path / "stopped", seed=3), whole)
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


@pytest.mark.parametrize(
    ("encoder", "side", "share", "message"),
    [
        ("cnn", 5, 0.0, "go together: both must be above 0, or neither, got 5 and 0.0"),
        ("cnn", 0, 0.5, "go together: both must be above 0, or neither, got 0 and 0.5"),
        ("cnn", 7, 0.5, "must be below the images' 7 pixels, got 7"),
        ("fc", 5, 0.5, "early_side=5 needs an encoder and an objective for images of any size"),
    ],
)
def test_early_views_that_cannot_be_are_refused(encoder, side, share, message, config, dataset):
    config.encoder, config.objective = ENCODERS[encoder], OBJECTIVES["ntxent"]
    config.train.early_side, config.train.early_share = side, share
    with pytest.raises(InputError, match=message):
        build.run(config, dataset)
