"""Seeds side by side: each run as if it were alone, except for the order of its sums."""

import os
import signal

import jax
import numpy as np
import pytest

from jaxembed.core.errors import Diverged, Stopped
from jaxembed.run import build
from jaxembed.train import checkpoint, log, loop, start, together

SEEDS = (3, 4)


def seeds(dataset, folder):
    return [together.Seed(seed, dataset, folder / str(seed)) for seed in SEEDS]


@pytest.fixture
def calls(monkeypatch):
    """The number of runs and the step of each call."""
    seen, advance = [], together._advance

    def recorded(training):
        seen.append((len(training), training[0].step))
        return advance(training)

    monkeypatch.setattr(together, "_advance", recorded)
    return seen


def close(first, second):
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert first.step == second.step
    assert (jax.random.key_data(first.key) == jax.random.key_data(second.key)).all()


def test_each_seed_equals_the_run_trained_separately(run, dataset, tmp_path, calls):
    ends = together.fit(run, seeds(dataset, tmp_path / "together"))
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
        if step == 3 and self.journal.file.parent.name == "4":  # the other one has taken it as well
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(log.Log, "add", add_and_signal)
        with pytest.raises(Stopped, match="SIGTERM at step 3 of 12, saved"):
            together.fit(run, seeds(dataset, tmp_path))
        (tmp_path / "4" / "checkpoint" / "3").rename(tmp_path / "gone")
    assert {count for count, _ in calls} == {2}
    calls.clear()
    ends = together.fit(run, seeds(dataset, tmp_path))
    assert calls == [*((1, step) for step in range(3)), *((2, step) for step in range(3, 12))]
    assert [int(end.step) for end in ends] == [12, 12]


def test_one_that_diverges_does_not_end_the_other(run, dataset, tmp_path, calls, monkeypatch):
    flush = log.Log.flush

    def diverge(self):
        flush(self)
        if self.journal.file.parent.name == "3":
            raise Diverged("loss became nan")

    monkeypatch.setattr(log.Log, "flush", diverge)
    diverged, end = together.fit(run, seeds(dataset, tmp_path))
    assert isinstance(diverged, Diverged)
    assert end.step == 12
    counts = [count for count, _ in calls]
    assert (counts[0], counts[-1]) == (2, 1)


def test_a_signal_during_the_last_save_has_its_usual_effect(run, dataset, tmp_path, monkeypatch):
    close = checkpoint.Checkpoints.__exit__

    def close_and_stop(self, *error):
        os.kill(os.getpid(), signal.SIGINT)
        close(self, *error)

    monkeypatch.setattr(checkpoint.Checkpoints, "__exit__", close_and_stop)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(run, dataset, tmp_path, seed=3)
    assert (tmp_path / "checkpoint" / "12").exists()
