"""Every way of learning starts from given weights, and leaves a frozen encoder as it is."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS, tiny
from numpy.testing import assert_allclose, assert_array_equal
from test_every_objective import WAYS, config_of, leaves, take

from jaxembed import model
from jaxembed.artifacts import encoder_file, identity
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.evaluate import forward
from jaxembed.pictures import Preparation, Shape
from jaxembed.run import build
from jaxembed.train import checkpoint, feed, start, steps
from jaxembed.types import Weights

WITHOUT_HEAD = ("margin", "triplet")


@pytest.fixture(scope="module")
def given(dataset, tmp_path_factory):
    """A function from an encoder's config to the file of one with odd weights, and the weights."""

    @functools.cache
    def write(text):
        config = tiny()
        config.encoder = identity.with_tuples(json.loads(text))
        state = start.initial(build.run(config, dataset), dataset, seed=7)
        part = Weights(state.params["encoder"], state.stats.get("encoder", {}))
        part = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), part)
        file = tmp_path_factory.mktemp("given") / "encoder.safetensors"
        saved = SavedEncoder("given", json.loads(config.to_json()), Preparation(Shape(9, 7, 1)), "", *part)
        encoder_file.write(saved, file)
        return str(file), part

    return lambda encoder: write(json.dumps(encoder.to_dict()))


def started(config, given):
    """Let a config's encoder start from a file; return the weights in it."""
    file, weights = given(config.encoder)
    config.encoder.start = file
    return weights


def equal(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert_array_equal(a, b)


def encoder_of(weights):
    return Weights(weights.params["encoder"], weights.stats.get("encoder", {}))


def without_encoder(tree):
    return {name: part for name, part in tree.items() if name != "encoder"}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_starts_from_the_given_encoder_and_its_usual_head(name, dataset, given):
    config = config_of(name)
    usual = start.initial(build.run(config, dataset), dataset, seed=3)
    weights = started(config, given)
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    equal(encoder_of(state), weights)
    if run.objective.teacher:
        equal(state.teacher, Weights(state.params, state.stats))
    for field in ("params", "stats"):
        equal(without_encoder(getattr(state, field)), without_encoder(getattr(usual, field)))
    equal((state.opt_state, state.memory), (usual.opt_state, usual.memory))
    assert jax.tree.structure(state) == jax.tree.structure(usual)


@pytest.mark.parametrize("name", sorted(WAYS.keys() - WITHOUT_HEAD))
def test_a_frozen_encoder_keeps_its_bits_and_the_head_learns_as_if_it_was_not_stopped(
    name, dataset, given, tmp_path
):
    config = config_of(name, frozen=True)
    weights = started(config, given)
    run = build.run(config, dataset)
    first = start.initial(run, dataset, seed=3)
    head = jax.tree.map(np.asarray, first.params["head"])
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(take(run, dataset, 2)[0], {})
    state, _ = take(run, dataset, 3)
    equal(encoder_of(state), weights)
    equal(encoder_of(run.weights(state)), weights)
    assert forward.fingerprint(run.weights(state)) == run.origin.start_sha256
    assert any(
        (np.asarray(leaf) != was).any()
        for leaf, was in zip(*map(jax.tree.leaves, (state.params["head"], head)), strict=True)
    )
    held = run.optimizer.init({"head": head})
    assert jax.tree.structure(state.opt_state) == jax.tree.structure(held)
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        resumed = checkpoints.restore(first).state
    for a, b in zip(leaves(take(run, dataset, 1, resumed)[0]), leaves(state), strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("name", WITHOUT_HEAD)
def test_a_way_whose_head_has_no_parameters_has_nothing_to_learn_on_a_frozen_encoder(name, dataset):
    assert "head" not in start.initial(build.run(config_of(name), dataset), dataset, seed=3).params
    with pytest.raises(InputError, match=f"^config.train.frozen needs an objective .*; got .*name='{name}'$"):
        build.run(config_of(name, frozen=True), dataset)


@pytest.mark.parametrize("name", ["byol", "ntxent"])
def test_one_device_and_eight_train_the_same_head_on_a_frozen_encoder(name, dataset, given, monkeypatch):
    config = config_of(name, frozen=True)
    weights = started(config, given)
    eight, _ = take(build.run(config, dataset), dataset, 3)
    monkeypatch.setattr(mesh, "make", lambda *_: jax.sharding.Mesh(jax.devices()[:1], "data"))
    one, _ = take(build.run(config, dataset), dataset, 3)
    equal(encoder_of(one), weights)
    for a, b in zip(leaves(eight), leaves(one), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_frozen_encoder_keeps_its_statistics_in_chunks(dataset, given):
    config = config_of("ntxent", frozen=True, batch_size=24, chunk=16)  # a third of thrice a number is another one
    weights = started(config, given)
    state, _ = take(build.run(config, dataset), dataset, 3)
    equal(encoder_of(state), weights)


def test_a_frozen_encoder_computes_in_training_what_it_does_in_evaluation(dataset, given):
    config = config_of("ntxent", frozen=True)
    config.encoder.dropout = 0.5
    started(config, given)
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    images = model.pixels(jnp.asarray(dataset.train.images[:16]))
    learned, _ = jax.jit(run.learn)(state.stats, state.params, images, jax.random.key(0))
    frozen = jax.jit(functools.partial(run.apply, method="embed"))(state.params, state.stats, images)
    assert_allclose(learned.embedding, frozen, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["byol", "classify"])
def test_an_encoder_keeps_the_running_statistics_that_it_starts_with_and_its_parameters_learn(name, dataset, given):
    config = config_of(name, statistics="running")
    config.encoder = ENCODERS["cnn"] | {"dropout": 0.5}
    weights = started(config, given)
    run = build.run(config, dataset)
    first = start.initial(run, dataset, seed=3)
    images = model.pixels(jnp.asarray(dataset.train.images[:16]))
    outputs, _ = jax.jit(run.learn)(first.stats, first.params, images, jax.random.key(0))
    evaluated = jax.jit(functools.partial(run.apply, method="embed"))(first.params, first.stats, images)
    assert_allclose(outputs.embedding, evaluated, rtol=1e-6, atol=1e-6)
    state, _ = take(run, dataset, 3)
    for learned in filter(None, (state, state.teacher)):
        equal(learned.stats["encoder"], weights.stats)
        pairs = zip(*map(jax.tree.leaves, (learned.params["encoder"], weights.params)), strict=True)
        assert any((np.asarray(new) != old).any() for new, old in pairs)


def test_statistics_that_an_encoder_does_not_start_with_or_have_are_not_kept(dataset, given):
    config = config_of("byol", statistics="running")
    refused = r"^config.train.statistics='running' keeps .*: it needs config.encoder.start, and .* BatchNorm, got "
    with pytest.raises(InputError, match=refused + "start=''$"):
        build.run(config, dataset)
    started(config, given)
    with pytest.raises(InputError, match=refused + "start='/.*'$"):
        build.run(config, dataset)


def test_a_step_with_a_frozen_encoder_has_no_backward_pass_through_it(dataset):
    def cost(frozen):
        run = build.run(config_of("byol", frozen=frozen), dataset)
        fed = feed.Epoch(dataset.train, np.arange(75, dtype=np.int32))
        return steps.operations(run, start.initial(run, dataset, seed=3), fed)

    assert cost(frozen=True) < 0.9 * cost(frozen=False)
