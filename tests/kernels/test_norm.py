"""BatchNorm and bias: as flax's, in value, gradients and statistics."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxembed.kernels import norm

SHAPE = (6, 5, 3, 4)


def draw(*shape: int) -> np.ndarray:
    """Channels of different means and spreads."""
    maps = np.random.default_rng(0).normal(size=shape) * [1, 2, 0.5, 5] + [0, 3, -1, 10]
    return maps.astype(np.float32)


MAPS = draw(*SHAPE)
ONE, TWO, THREE, FOUR = np.random.default_rng(1).uniform(0.5, 2, (4, SHAPE[-1])).astype(np.float32)
# Parameters and running statistics that are not those of the start.
VARIABLES = {"params": {"scale": ONE, "bias": TWO}, "batch_stats": {"mean": THREE, "var": FOUR}}


def gradients(layer, maps):
    """The gradients of an asymmetric loss, the layer's outputs, and its new statistics."""

    @jax.jit
    def compiled(variables, maps):
        def loss(params, maps):
            outputs, updates = layer.apply(variables | {"params": params}, maps, mutable=["batch_stats"])
            return jnp.sum(jnp.sin(outputs) * np.arange(outputs.size).reshape(outputs.shape)), (outputs, updates)

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(variables["params"], maps)

    return compiled(VARIABLES, maps)


@cache  # for both backends
def flaxs(train, height):
    return gradients(nn.BatchNorm(use_running_average=not train, momentum=0.8), draw(6, height, 3, 4))


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize(("train", "height"), [(False, 5), (True, 5), (True, 32), (True, 37), (True, 1)])
def test_batch_norm_is_flax_batch_norm(train, height, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    ours, theirs = gradients(norm.BatchNorm(train, 0.8), draw(6, height, 3, 4)), flaxs(train, height)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4 * np.abs(their).max())


def test_batch_norm_starts_as_flax_does():
    layers = norm.BatchNorm(True), nn.BatchNorm(use_running_average=False)
    ours, theirs = (jax.jit(layer.init)(jax.random.key(0), MAPS) for layer in layers)
    assert jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))
    zero = jax.jit(norm.BatchNorm(True, scale_init=nn.initializers.zeros).init)(jax.random.key(0), MAPS)
    assert not np.any(np.asarray(zero["params"]["scale"]))


def test_batch_norm_sums_in_float32_and_returns_what_came_in():
    # Two neighbours in bfloat16, whose mean it cannot hold.
    many = np.ones((1000, 5, 3, 4), jnp.bfloat16)
    many[::2] = 1 + 2**-7
    apply = jax.jit(partial(norm.BatchNorm(True, 0.0).apply, mutable=["batch_stats"]))
    outputs, updates = apply(VARIABLES, many)
    assert outputs.dtype == jnp.bfloat16
    np.testing.assert_allclose(updates["batch_stats"]["mean"], 1 + 2**-8, rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["var"], 2**-16, atol=2e-7)


@pytest.mark.parametrize(
    ("mean", "deviation", "named"), [(0, 0, 0), (3, 1, 0), (100, 1, 0), (1000, 1, 1), (1e4, 1, 1)]
)
def test_layers_whose_variance_is_rounded_away_are_named(mean, deviation, named):
    maps = (mean + deviation * np.random.default_rng(0).normal(size=(50, 5, 3, 4))).astype(np.float32)
    _, updates = jax.jit(partial(norm.BatchNorm(True, 0.0).apply, mutable=["batch_stats"]))(VARIABLES, maps)
    found = np.asarray(updates["batch_stats"]["var"])
    is_right = np.allclose(found, maps.astype(np.float64).var(axis=(0, 1, 2)), rtol=0.01, atol=1e-9)
    assert is_right or named
    statistics = {"encoder": {"first": {"mean": np.ones(4), "var": np.ones(4)}, "second": updates["batch_stats"]}}
    assert norm.imprecise(statistics) == ["encoder/second"] * named


def test_a_bias_shifts_each_channel_and_its_gradient_is_the_sum():
    gradient = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)

    @jax.jit
    def shifted(numbers, gradient):
        outputs, pull = jax.vjp(
            lambda bias: norm.Bias().apply({"params": {"bias": bias}}, jnp.asarray(MAPS)), numbers
        )
        return outputs, *pull(gradient)

    outputs, slope = shifted(np.arange(4.0), gradient)
    np.testing.assert_allclose(outputs, MAPS + np.arange(4), rtol=1e-6)
    np.testing.assert_allclose(slope, gradient.sum(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_a_bias_starts_at_nothing():
    bias = np.asarray(jax.jit(norm.Bias().init)(jax.random.key(0), MAPS)["params"]["bias"])
    assert bias.shape == (4,)
    assert not bias.any()


@pytest.mark.parametrize("height", [1, 16, 23, 48])
def test_an_average_is_the_mean_of_a_channel(height):
    maps = draw(6, height, 3, 4)
    np.testing.assert_allclose(
        jax.jit(norm.average)(maps), np.asarray(maps, np.float64).mean(axis=(0, 1, 2)), rtol=1e-5
    )
