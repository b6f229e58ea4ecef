"""Seeds side by side: each run as if it were alone, except for the order of its sums."""

import os
import signal
from functools import partial

import jax
import numpy as np
import pytest

from jaxembed.core.errors import Diverged, Stopped
from jaxembed.run import build
from jaxembed.train import log, loop, start, together

SEEDS = (3, 4)


def starts(run, dataset, folder):
    return [partial(loop.loop, run, dataset, folder / str(seed), seed=seed, tensorboard=False) for seed in SEEDS]


@pytest.fixture
def calls(monkeypatch):
    """The number of runs and the step of each call."""
    seen, advanced = [], together._advanced

    def recorded(run, calls):
        seen.extend([(len(calls), calls[0].step)] if calls else [])
        return advanced(run, calls)

    monkeypatch.setattr(together, "_advanced", recorded)
    return seen


def close(first, second):
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert first.step == second.step
    assert (jax.random.key_data(first.key) == jax.random.key_data(second.key)).all()


def test_each_ends_as_if_it_were_alone(run, dataset, tmp_path, calls):
    ends = together.fit(run, starts(run, dataset, tmp_path / "together"))
    assert {count for count, _ in calls} == {2}
    for seed, end in zip(SEEDS, ends, strict=True):
        close(end, loop.fit(run, dataset, tmp_path / f"alone{seed}", seed=seed))
        close(end, start.restored(run, dataset, tmp_path / "together" / str(seed), seed=seed))


def test_a_signal_saves_all_and_one_that_is_behind_catches_up(config, dataset, tmp_path, calls, monkeypatch):
    config.train.log_every = 1
    run = build.run(config, dataset)
    add = log.Log.add

    def add_and_signal(self, step, count, scores):
        add(self, step, count, scores)
        if step == 3 and self.file.parent.name == "4":  # the other one waits already
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(log.Log, "add", add_and_signal)
        stopped = together.fit(run, starts(run, dataset, tmp_path))
        assert [type(end) for end in stopped] == [Stopped, Stopped]
        assert all("SIGTERM at step 3" in str(end) for end in stopped)
        (tmp_path / "4" / "checkpoint" / "3").rename(tmp_path / "gone")
    assert {count for count, _ in calls} == {2}
    calls.clear()
    ends = together.fit(run, starts(run, dataset, tmp_path))
    assert calls == [*((1, step) for step in range(3)), *((2, step) for step in range(3, 12))]
    assert [int(end.step) for end in ends] == [12, 12]


def test_one_that_diverges_does_not_end_the_other(run, dataset, tmp_path, calls, monkeypatch):
    flush = log.Log.flush

    def diverge(self):
        flush(self)
        if self.file.parent.name == "3":
            raise Diverged("loss became nan")

    monkeypatch.setattr(log.Log, "flush", diverge)
    diverged, end = together.fit(run, starts(run, dataset, tmp_path))
    assert isinstance(diverged, Diverged)
    assert end.step == 12
    counts = [count for count, _ in calls]
    assert (counts[0], counts[-1]) == (2, 1)


def test_a_signal_during_the_last_save_has_its_usual_effect(run, dataset, tmp_path, monkeypatch):
    close = loop.Checkpoints.__exit__

    def close_and_stop(self, *error):
        os.kill(os.getpid(), signal.SIGINT)
        close(self, *error)

    monkeypatch.setattr(loop.Checkpoints, "__exit__", close_and_stop)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(run, dataset, tmp_path, seed=3)
    assert (tmp_path / "checkpoint" / "12").exists()
