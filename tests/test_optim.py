"""Schedules and optimizers: the numbers that their sources give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxembed import optim
from jaxembed.core.errors import InputError

COMMON = {"learning_rate": 0.4, "warmup_epochs": 2.0}
OWN = {
    "sgd": {"momentum": 0.9, "weight_decay": 0.01},
    "adam": {"weight_decay": 0.01},
    "lars": {"momentum": 0.9, "weight_decay": 0.01},
    "muon": {"momentum": 0.9, "weight_decay": 0.01},
}
PARAMS = {"kernel": jnp.array([[2.0, -1.0], [0.5, 3.0]]), "bias": jnp.array([1.0, -1.0])}
GRADIENT = {"kernel": jnp.array([[0.1, 0.2], [-0.3, 0.4]]), "bias": jnp.array([0.5, -0.6])}


def make(name: str, **options: float):
    return optim.make({"name": name} | COMMON | OWN.get(name, {}) | options, 10, 100)


def steps(name: str, count: int, **options: float) -> dict:
    optimizer, _ = make(name, **options)
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(count):
        updates, state = optimizer.update(GRADIENT, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params


def test_every_optimizer_is_tested():
    assert set(OWN) == set(optim.OPTIMIZERS)


def test_learning_rate_rises_linearly_then_falls_as_a_half_cosine_to_zero():
    _, schedule = make("adam")
    assert_allclose([schedule(step) for step in (0, 10, 20)], [0, 0.2, 0.4], atol=1e-7)
    assert_allclose(schedule(60), 0.2, rtol=1e-6)
    assert_allclose(schedule(40), 0.4 * (1 + np.cos(np.pi / 4)) / 2, rtol=1e-6)
    assert_allclose(schedule(100), 0, atol=1e-7)


def test_without_warm_up_the_first_learning_rate_is_the_full_one():
    _, schedule = make("sgd", warmup_epochs=0.0)
    assert_allclose(schedule(0), 0.4)


def test_sgd_equals_pytorchs():
    # v = 0.9 v + (g + decay × w); w = w - rate × v (torch.optim.SGD's documentation), at the rates 0.4, ~0.4.
    _, schedule = make("sgd", warmup_epochs=0.0)
    for leaf in ("kernel", "bias"):
        w, g, v = np.asarray(PARAMS[leaf]), np.asarray(GRADIENT[leaf]), 0
        for step in range(2):
            v = 0.9 * v + g + 0.01 * w
            w = w - float(schedule(step)) * v
        assert_allclose(steps("sgd", 2, warmup_epochs=0.0)[leaf], w, rtol=1e-5)


def test_adams_first_step_is_the_learning_rate_against_the_sign_with_decoupled_decay():
    stepped = steps("adam", 1, warmup_epochs=0.0)
    for leaf in ("kernel", "bias"):
        expected = PARAMS[leaf] - 0.4 * (np.sign(GRADIENT[leaf]) + 0.01 * PARAMS[leaf])
        assert_allclose(stepped[leaf], expected, rtol=1e-4)


def test_lars_scales_only_kernels_by_trust():
    stepped = steps("lars", 1, warmup_epochs=0.0)
    decayed = GRADIENT["kernel"] + 0.01 * PARAMS["kernel"]
    trust = 0.001 * np.linalg.norm(PARAMS["kernel"]) / np.linalg.norm(decayed)
    assert_allclose(stepped["kernel"], PARAMS["kernel"] - 0.4 * trust * decayed, rtol=1e-5)
    assert_allclose(stepped["bias"], PARAMS["bias"] - 0.4 * GRADIENT["bias"], rtol=1e-5)


def test_muon_steps_equally_along_all_kernel_directions_and_treats_biases_as_adam():
    stepped = steps("muon", 1, warmup_epochs=0.0)
    left, _, right = np.linalg.svd(GRADIENT["kernel"])
    change = (PARAMS["kernel"] * (1 - 0.4 * 0.01) - stepped["kernel"]) / (0.4 * 0.2 * np.sqrt(2))
    # Five Newton-Schulz iterations bring the singular values near 1: Jordan gives 0.7 to 1.2.
    along = np.diag(left.T @ change @ right.T)
    assert ((along > 0.65) & (along < 1.25)).all()
    assert_allclose(left @ np.diag(along) @ right, change, atol=1e-3)
    # Nesterov's momentum looks a step ahead: 0.9 × 0.1 g / (1 - 0.9²) + g.
    ahead = 1 + 0.09 / 0.19
    assert_allclose(stepped["bias"], PARAMS["bias"] - 0.4 * ahead * np.sign(GRADIENT["bias"]), rtol=1e-4)


def test_muon_treats_a_convolution_as_a_matrix_with_a_column_per_output():
    optimizer, _ = make("muon", warmup_epochs=0.0)
    gradient = jax.random.normal(jax.random.key(0), (3, 3, 4, 5))
    updates = {}
    for name, g in (("convolution", gradient), ("matrix", gradient.reshape(36, 5))):
        zeros = jnp.zeros_like(g)
        updates[name], _ = optimizer.update({"kernel": g}, optimizer.init({"kernel": zeros}), {"kernel": zeros})
    whole = updates["convolution"]["kernel"].reshape(36, 5)
    assert_allclose(whole, updates["matrix"]["kernel"], atol=1e-6)
    assert_allclose(np.sqrt(np.mean(whole**2)), 0.4 * 0.2, rtol=0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adamw"}, "one of sgd, adam, lars, muon; got 'adamw' .did you mean 'adam'"),
        (
            {"name": "adam", "momentum": 0.9},
            "config.optimizer has no option 'momentum'; it takes: learning_rate, warmup_epochs, weight_decay",
        ),
        ({"name": "adam", "learning_rate": 0.0}, "config.optimizer.learning_rate must be > 0, got 0.0"),
        ({"name": "muon", "momentum": 1.0}, "config.optimizer.momentum must be in .0, 1., got 1.0"),
        ({"name": "sgd", "momentum": -0.1}, "config.optimizer.momentum must be in .0, 1., got -0.1"),
        ({"name": "adam", "warmup_epochs": 10.0}, "less than the 10 epochs of training, got 10.0"),
        ({"name": "adam", "warmup_epochs": -1.0}, "warmup_epochs must be >= 0, got -1.0"),
    ],
)
def test_invalid_optimizer_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as error:
        make(**options)
    assert "\n" not in str(error.value)
