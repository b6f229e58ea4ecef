"""Batches from disk are those from memory, and a resumed run reads on where it stopped."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxembed.artifacts import history
from jaxembed.core.errors import Stopped
from jaxembed.devices import mesh
from jaxembed.run import build
from jaxembed.train import feed, loop, session, steps
from jaxembed.types import Batch, OnDisk


class Files:
    """Images that are counted when they are read; see tests/datasets/test_stored.py for those on disk."""

    def __init__(self, images):
        self.images, self.shape, self.dtype, self.ndim = images, images.shape, images.dtype, images.ndim
        self.read = []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.read += np.arange(len(self))[rows].ravel().tolist()
        return self.images[rows]

    def subset(self, rows):
        return Files(self.images[rows])


@pytest.fixture
def stored(dataset):
    files = Files(dataset.train.images)
    assert isinstance(files, OnDisk)
    return dataset._replace(train=Batch(files, dataset.train.labels))


def taken(run, images, first, end):
    """The batches of some steps, taken as the training loop takes them."""
    key, batches, step = jax.random.key(3), [], first
    with feed.opened(run, images) as source:
        while step < end:
            count = min(source.most, session.steps_to_next_event(run, step), end - step)
            fed = source.take(key, step, count)
            batches += [steps._batch(run, jnp.int32(each), fed) for each in range(step, step + count)]
            step += count
    return jax.device_get(batches)


@pytest.mark.parametrize(("first", "end"), [(0, 12), (3, 12), (5, 9)], ids=["all", "from 3", "across an epoch"])
@pytest.mark.parametrize("call", [feed.CALL, 1], ids=["several a call", "one a call"])
def test_streamed_batches_are_the_resident_ones(first, end, call, run, dataset, stored, monkeypatch):
    monkeypatch.setattr(feed, "CALL", call)
    resident, streamed = (taken(run, each.train, first, end) for each in (dataset, stored))
    assert len(streamed) == end - first
    for one, other in zip(resident, streamed, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_a_resumed_run_reads_on_at_the_exact_record(run, stored):
    taken(run, stored.train, 2, 3)
    order = np.asarray(feed.permute(jax.random.key(3), 0, 75))
    read = stored.train.images.read
    assert set(order[32:48].tolist()) <= set(read)
    assert set(read[:16]) <= set(order[32:].tolist())  # threads read ahead, in any order


def test_a_streamed_run_ends_as_a_resident_one_also_when_it_is_stopped(config, dataset, stored, tmp_path):
    run = build.run(config, dataset)
    resident = loop.fit(run, dataset, tmp_path / "resident", seed=3)
    streamed = loop.fit(run, stored, tmp_path / "streamed", seed=3)

    def stop(self, key, step, count):
        if step >= 6:
            raise Stopped(signal.SIGTERM, "here")
        return take(self, key, step, count)

    take = feed.Streamed.take
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed.Streamed, "take", stop)
        with pytest.raises(Stopped):
            loop.fit(run, stored, tmp_path / "stopped", seed=3)
    again = loop.fit(run, stored, tmp_path / "stopped", seed=3)
    for one, other, third in zip(
        *map(jax.tree.leaves, (resident.params, streamed.params, again.params)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
        np.testing.assert_array_equal(other, third)
    losses = [
        [line.get("train/loss") for line in history.read(tmp_path / name / "metrics.jsonl")]
        for name in ("resident", "streamed")
    ]
    np.testing.assert_allclose(*(np.array(each, float) for each in losses), atol=1e-6)


def test_each_process_reads_the_rows_of_its_devices(run):
    assert mesh.own_rows(run.mesh, 16).tolist() == list(range(16))
    half = mesh.make(jax.devices()[4:])
    assert mesh.own_rows(half, 16).tolist() == list(range(16))
