"""Losses and their gradients equal those of lightly and pytorch-metric-learning, which `oracles/make.py` froze."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxembed import losses
from jaxembed.losses import normality, numerics

with np.load(Path(__file__).parent / "oracles" / "losses.npz") as file:
    FROZEN = dict(file)
FIRST, SECOND, LABELS = (jnp.asarray(FROZEN[name]) for name in ("first", "second", "labels"))
TEMPERATURES = {"student_temperature": 0.1, "teacher_temperature": 0.04}


def cosines(rows):
    return numerics.normalise(rows) @ numerics.normalise(jnp.asarray(FROZEN["classes"])).T


# Of two views of the same images, as the oracle has them.
LOSSES = {
    "supcon": lambda a, b: losses.supcon(a, LABELS, temperature=0.2),
    "triplet": lambda a, b: losses.triplet(a, LABELS),
    "all_triplets": lambda a, b: losses.all_triplets(a, LABELS),
    "arcface": lambda a, b: losses.arcface(cosines(a), LABELS, margin=float(np.radians(28.6)), scale=16.0),
    "barlow": partial(losses.barlow, off_diagonal=5e-3),
    "vicreg": partial(losses.vicreg, invariance=25.0, variance=25.0, covariance=1.0),
    "negative_cosine": losses.negative_cosine,
    "infonce": lambda a, b: losses.infonce(a, b, jnp.asarray(FROZEN["queue"]), temperature=0.2),
    "sigreg": lambda a, b: losses.sigreg(a, jnp.asarray(FROZEN["directions"])),
    "dino": lambda a, b: losses.dino(a, jnp.roll(b, 6, axis=0), jnp.asarray(FROZEN["centre"]), **TEMPERATURES),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradients_are_those_of_an_independent_implementation(name):
    def loss(first, second):
        return jnp.mean(LOSSES[name](first, second))

    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(FIRST, SECOND)
    assert_allclose(value, FROZEN[name], rtol=1e-5)
    assert np.abs(FROZEN[f"{name}_da"]).max() > 1e-3
    for slope, part in zip(slopes, "ab", strict=True):
        expected = FROZEN.get(f"{name}_d{part}", np.zeros_like(FIRST))
        assert_allclose(slope, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_supcon_of_two_views_without_other_classmates_is_ntxent():
    labels = jnp.arange(12) % 6
    alike = jax.jit(partial(losses.supcon, temperature=0.3))(FIRST, labels)
    assert_allclose(alike, jax.jit(partial(losses.ntxent, temperature=0.3))(FIRST), rtol=1e-5)


def test_a_row_without_a_classmate_or_without_another_class_costs_nothing():
    alone = jnp.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert float(jax.jit(partial(losses.supcon, temperature=0.3))(FIRST, alone)[3]) == 0
    for cost in (jax.jit(losses.triplet), jax.jit(losses.all_triplets)):
        assert float(cost(FIRST, alone)[3]) == 0
        assert_allclose(cost(FIRST, jnp.zeros(12, int)), 0)
        assert_allclose(cost(FIRST, jnp.arange(12)), 0)


def test_the_values_that_docstrings_give_to_check_by_hand():
    equal, labels = jnp.ones((12, 5)), LABELS % 3
    assert_allclose(jax.jit(partial(losses.supcon, temperature=0.1))(equal, labels), np.log(11), rtol=1e-5)
    for cost in (losses.triplet, losses.all_triplets):
        assert_allclose(jax.jit(cost)(equal, labels).mean(), np.log(2), rtol=1e-5)
    queue = jnp.ones((7, 5)) / np.sqrt(5)
    assert_allclose(jax.jit(partial(losses.infonce, temperature=0.1))(equal, equal, queue), np.log(8), rtol=1e-5)
    assert_allclose(jax.jit(losses.negative_cosine)(FIRST, 3 * FIRST), -1, rtol=1e-5)
    dino = jax.jit(partial(losses.dino, **TEMPERATURES))
    assert_allclose(dino(equal, SECOND, jnp.zeros(5)), np.log(5), rtol=1e-5)
    weights = {"invariance": 25.0, "variance": 10.0, "covariance": 1.0}
    assert_allclose(jax.jit(partial(losses.vicreg, **weights))(equal, equal), 9.9, rtol=1e-5)
    # Orthogonal columns with mean 0: equal views have the identity as correlations, apart from what is added.
    signs = jnp.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    barlow = jax.jit(partial(losses.barlow, off_diagonal=0.5))
    assert_allclose(barlow(signs, signs), 0, atol=1e-8)
    assert_allclose(barlow(signs, signs[:, ::-1]), 2 * 1 + 0.5 * 2, rtol=1e-4)
    plain = jax.jit(partial(losses.arcface, margin=0.0, scale=4.0))(cosines(FIRST), LABELS)
    assert_allclose(plain, jax.jit(losses.cross_entropy)(4 * cosines(FIRST), LABELS), rtol=1e-5)


def test_arcface_falls_as_the_angle_does_and_has_a_slope_everywhere():
    # The row's own class, from opposite to equal; the other class stays where it is.
    own = jnp.linspace(-1, 1, 401)
    rows = jnp.stack([own, jnp.zeros(401)], axis=1)
    loss = partial(losses.arcface, labels=jnp.zeros(401, int), margin=0.5, scale=16.0)
    values, back = jax.vjp(loss, rows)
    assert (np.diff(values) < 1e-6).all()
    assert np.isfinite(back(jnp.ones(401))[0]).all()


def test_sigreg_is_the_integral_that_the_source_gives():
    # Over the whole line the integral has a closed form (Epps & Pulley 1983): here for one direction.
    points = np.asarray(FIRST[:, :1], np.float64)
    n = len(points)
    pairs = np.exp(-np.square(points - points.T) / 2).sum()
    closed = np.sqrt(2 * np.pi) * (pairs / n - np.sqrt(2) * np.exp(-np.square(points) / 4).sum() + n / np.sqrt(3))
    # The rule ends at 3, where the weight is a hundredth.
    assert_allclose(jax.jit(losses.sigreg)(FIRST[:, :1], jnp.ones((1, 1))), closed, rtol=0.02)
    zeros = jax.jit(losses.sigreg)(jnp.zeros((40, 3)), jnp.eye(3))
    assert_allclose(zeros, 40 * 0.402, rtol=0.01)
    normal = np.random.default_rng(0).normal(size=(4000, 8)).astype(np.float32)
    assert 0.6 < float(jax.jit(losses.sigreg)(normal, jnp.eye(8))) < 1.5
    assert normality.FARTHEST == 3


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (partial(losses.supcon, FIRST, LABELS, temperature=0.0), "temperature must be > 0, got 0.0"),
        (partial(losses.infonce, FIRST, FIRST, FIRST, temperature=-1.0), "temperature must be > 0, got -1.0"),
        (partial(losses.arcface, FIRST, LABELS, margin=2.0, scale=1.0), r"margin must be in \[0, π/2\], got 2.0"),
        (partial(losses.arcface, FIRST, LABELS, margin=0.5, scale=0.0), "scale must be > 0, got 0.0"),
        (
            partial(losses.vicreg, FIRST[:1], FIRST[:1], invariance=1.0, variance=1.0, covariance=1.0),
            "there must be at least 2 rows, got 1",
        ),
        (
            partial(losses.dino, FIRST, FIRST, FIRST[0], student_temperature=0.1, teacher_temperature=0.0),
            "temperatures must be > 0, got 0.1 and 0.0",
        ),
    ],
)
def test_what_has_no_loss_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        loss()
