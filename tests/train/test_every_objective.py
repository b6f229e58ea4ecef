"""What holds for every way of learning, whatever its teacher and its memory: they are trained by one step."""

import jax
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES, tiny
from numpy.testing import assert_allclose, assert_array_equal

from jaxembed.devices import mesh
from jaxembed.report import methods
from jaxembed.run import build
from jaxembed.train import checkpoint, feed, start, steps, together

SGD = {"name": "sgd", "learning_rate": 0.01, "warmup_epochs": 0.0, "momentum": 0.9, "weight_decay": 0.0}
WAYS = OBJECTIVES | {"ntxent_tiled": OBJECTIVES["ntxent"] | {"tile": 3}}


def config_of(name, **options):
    config = tiny()
    # BatchNorm where the objective compares rows: both must be of the whole batch.
    config.encoder = ENCODERS["cnn" if name in ("ntxent", "ntxent_tiled") else "fc"] | {"dropout": 0.0}
    # Not Adam, which makes a whole step of a gradient that is 0 except for rounding.
    config.objective, config.optimizer = WAYS[name], SGD
    config.train.update(options)
    return config


def leaves(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))]


def take(run, dataset, count, state=None):
    """Take single steps from a state, by default the first; return it with the last loss."""
    state = state or start.initial(run, dataset, seed=3)
    fed = feed.Epoch(mesh.replicate(run.mesh, dataset.train), feed.permute(state.key, 0, 75))
    for _ in range(count):
        state, scores = steps.advance(run, state, fed, 1)
    return state, scores["loss"]


@pytest.fixture(scope="module", params=WAYS)
def way(request, dataset):
    """A way, its run, and the state and the loss after three steps."""
    run = build.run(config_of(request.param), dataset)
    return request.param, run, *take(run, dataset, 3)


def test_one_device_and_eight_take_the_same_steps(way, dataset, monkeypatch):
    name, run, eight, loss = way
    assert run.mesh.size == 8
    monkeypatch.setattr(mesh, "make", lambda *_: jax.sharding.Mesh(jax.devices()[:1], "data"))
    one, loss_of_one = take(build.run(config_of(name), dataset), dataset, 3)
    assert_allclose(loss, loss_of_one, rtol=1e-5)
    for a, b in zip(leaves(eight), leaves(one), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_run_that_was_saved_and_restored_equals_one_that_was_not(way, dataset, tmp_path):
    _, run, whole, _ = way
    first = start.initial(run, dataset, seed=3)
    with checkpoint.Checkpoints(tmp_path / "checkpoint") as checkpoints:
        checkpoints.save(take(run, dataset, 2)[0], {"noted": 1})
    with checkpoint.Checkpoints(tmp_path / "checkpoint") as checkpoints:
        saved = checkpoints.restore(first)
    for a, b in zip(leaves(take(run, dataset, 1, saved.state)[0]), leaves(whole), strict=True):
        assert_array_equal(a, b)


def test_a_way_without_labels_never_reads_them(way, dataset):
    name, run, whole, _ = way
    labels = np.random.default_rng(0).permutation(dataset.train.labels)
    other, _ = take(run, dataset._replace(train=dataset.train._replace(labels=labels)), 3)
    same = all((a == b).all() for a, b in zip(leaves(other), leaves(whole), strict=True))
    assert same == methods.is_unlabelled(name.removesuffix("_tiled"))


def test_seeds_side_by_side_take_the_steps_of_each(way, dataset):
    _, run, whole, _ = way
    states = [start.initial(run, dataset, seed=seed) for seed in (3, 4)]
    images = mesh.replicate(run.mesh, dataset.train)
    fed = [feed.Epoch(images, feed.permute(state.key, 0, 75)) for state in states]
    (state, _), _ = together.advance_all(run, states, fed, 3)
    for a, b in zip(leaves(state), leaves(whole), strict=True):
        assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_bfloat16_takes_a_similar_step_and_keeps_float32_at_rest(way, dataset):
    name, _, whole, loss = way
    state, half_loss = take(build.run(config_of(name, dtype="bfloat16"), dataset), dataset, 3)
    assert [leaf.dtype for leaf in leaves(state)] == [leaf.dtype for leaf in leaves(whole)]
    assert_allclose(half_loss, loss, rtol=0.2, atol=0.1)
