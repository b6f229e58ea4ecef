"""BatchNorm and bias: as flax's, in value, gradients and statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxembed.kernels import norm

SHAPE = (6, 5, 3, 4)


def draw(*shape: int) -> jax.Array:
    """Channels of different means and spreads."""
    maps = np.random.default_rng(0).normal(size=shape) * [1, 2, 0.5, 5] + [0, 3, -1, 10]
    return jnp.asarray(maps, jnp.float32)


@pytest.fixture
def maps() -> jax.Array:
    return draw(*SHAPE)


@pytest.fixture
def variables() -> dict:
    """Parameters and running statistics that are not those of the start."""
    one, two, three, four = jnp.asarray(np.random.default_rng(1).uniform(0.5, 2, (4, SHAPE[-1])), jnp.float32)
    return {"params": {"scale": one, "bias": two}, "batch_stats": {"mean": three, "var": four}}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize(("train", "height"), [(False, 5), (True, 5), (True, 32), (True, 37), (True, 1)])
def test_batch_norm_is_flax_batch_norm(variables, train, height, backend, monkeypatch):
    maps = draw(6, height, 3, 4)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    ours, theirs = norm.BatchNorm(train, 0.8), nn.BatchNorm(use_running_average=not train, momentum=0.8)
    results = []
    for layer in (ours, theirs):

        def loss(params, maps):
            outputs, updates = layer.apply(variables | {"params": params}, maps, mutable=["batch_stats"])  # noqa: B023
            return jnp.sum(jnp.sin(outputs) * jnp.arange(outputs.size).reshape(outputs.shape)), (outputs, updates)

        results.append(jax.grad(loss, argnums=(0, 1), has_aux=True)(variables["params"], maps))
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for our, their in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-4 * np.abs(their).max())


def test_batch_norm_starts_as_flax_does(maps):
    ours = norm.BatchNorm(True).init(jax.random.key(0), maps)
    theirs = nn.BatchNorm(use_running_average=False).init(jax.random.key(0), maps)
    assert jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))
    zero = norm.BatchNorm(True, scale_init=nn.initializers.zeros).init(jax.random.key(0), maps)
    assert not zero["params"]["scale"].any()


def test_batch_norm_sums_in_float32_and_returns_what_came_in(maps, variables):
    # Two neighbours in bfloat16, whose mean it cannot hold.
    many = jnp.ones((1000, 5, 3, 4), jnp.bfloat16).at[::2].set(1 + 2**-7)
    outputs, updates = norm.BatchNorm(True, 0.0).apply(variables, many, mutable=["batch_stats"])
    assert outputs.dtype == jnp.bfloat16
    np.testing.assert_allclose(updates["batch_stats"]["mean"], 1 + 2**-8, rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["var"], 2**-16, atol=2e-7)


def test_a_bias_shifts_each_channel_and_its_gradient_is_the_sum(maps):
    numbers = jnp.arange(4.0)
    gradient = jnp.asarray(np.random.default_rng(2).normal(size=SHAPE), jnp.float32)
    outputs, pull = jax.vjp(lambda bias: norm.Bias().apply({"params": {"bias": bias}}, maps), numbers)
    np.testing.assert_allclose(outputs, np.asarray(maps) + np.arange(4), rtol=1e-6)
    np.testing.assert_allclose(pull(gradient)[0], np.asarray(gradient).sum(axis=(0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_a_bias_starts_at_nothing(maps):
    variables = norm.Bias().init(jax.random.key(0), maps)
    assert variables["params"]["bias"].shape == (4,)
    assert not variables["params"]["bias"].any()


@pytest.mark.parametrize("height", [1, 16, 23, 48])
def test_an_average_is_the_mean_of_a_channel(height):
    maps = draw(6, height, 3, 4)
    np.testing.assert_allclose(norm.average(maps), np.asarray(maps, np.float64).mean(axis=(0, 1, 2)), rtol=1e-5)
