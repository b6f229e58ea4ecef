"""Losses of odd embeddings: the value that 64 bits give, rounded to 32, and a finite gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES
from numpy.testing import assert_allclose
from scipy import special

from jaxembed import encoders, losses, objectives
from jaxembed.core import options
from jaxembed.losses import collapse
from jaxembed.types import Batch, Outputs, Seen, Task

N, D = 12, 5
LARGEST = float(np.finfo(np.float32).max)
RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(N, D)) * np.arange(1, N + 1)[:, None]
LABELS = np.array([0, 1, 2, 0, 1, 0, 2, 1, 0, 0, 2, 1])


def with_row(row: int, values) -> np.ndarray:
    changed = ROWS.copy()
    changed[row] = values
    return changed


ODD = {
    "usual": ROWS,
    "coincident rows": with_row(4, ROWS[10]),
    "equal rows": np.full((N, D), 0.3),
    "zeros": np.zeros((N, D)),
    "a row of zeros": with_row(7, 0),
    "1e-30": ROWS * 1e-30,
    "1e-17": ROWS * 1e-17,
    "1e17": ROWS * 1e17,
    "1e30": ROWS * 1e30,
    "a hot row": with_row(3, [1e30, -2e30, 0, 3e29, 1]),
    "a hot number": with_row(3, [0, 1e30, 1, 0, 0]),
    "a tiny row": with_row(3, [1e-30, -2e-30, 0, 3e-31, 1e-37]),
    "far from the origin": ROWS + 1e4,
}


@pytest.fixture(params=ODD, ids=lambda name: name.replace(" ", "_"))
def rows(request) -> np.ndarray:
    return ODD[request.param]


@pytest.fixture(params=["float32", "bfloat16"])
def dtype(request) -> jnp.dtype:
    return jnp.dtype(request.param)


@partial(jax.jit, static_argnums=0)  # compiled once for all rows
def weighted(loss, rows):
    """Return a loss of each row, and the gradient of a sum that weights every row differently."""
    values, back = jax.vjp(loss, rows)
    weights = jnp.cos(jnp.arange(values.size, dtype=values.dtype)).reshape(values.shape)
    return values.astype(jnp.float32), back(weights)[0].astype(jnp.float32)


def pairs(x):
    return losses.margin_pairs(x, jnp.asarray(LABELS[:, None] == LABELS), margin=2.0)


def directions(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def l1(x):
    return np.abs(x - 1).mean(axis=1)


def cross_entropy(x, smoothing=0.0):
    targets = (1 - smoothing) * np.eye(D)[LABELS] + smoothing / D
    return special.logsumexp(x, axis=1) - (targets * x).sum(axis=1)


def ntxent(x, temperature):
    similarities = directions(x) @ directions(x).T / temperature
    others = np.where(np.eye(N), -np.inf, similarities)
    return special.logsumexp(others, axis=1) - np.roll(similarities, N // 2, axis=1).diagonal()


def margin(first, second, same):
    distance = np.linalg.norm(first - second, axis=-1)
    return np.where(same, distance**2, np.maximum(0, 2 - distance) ** 2) / 2


# A loss and what 64 bits make of the same rows.
FORMS = {
    "l1": (lambda x: losses.l1(x, jnp.ones_like(x)), l1),
    "cross_entropy": (lambda x: losses.cross_entropy(x, jnp.asarray(LABELS)), cross_entropy),
    "smoothed": (
        lambda x: losses.cross_entropy(x, jnp.asarray(LABELS), smoothing=0.1),
        partial(cross_entropy, smoothing=0.1),
    ),
    "ntxent": (partial(losses.ntxent, temperature=0.5), partial(ntxent, temperature=0.5)),
    "tiled": (partial(losses.ntxent_tiled, temperature=0.5, tile=5), partial(ntxent, temperature=0.5)),
    "cold": (partial(losses.ntxent, temperature=0.01), partial(ntxent, temperature=0.01)),
    "cold_tiled": (partial(losses.ntxent_tiled, temperature=0.01, tile=5), partial(ntxent, temperature=0.01)),
    "margin": (
        lambda x: losses.margin(x[:6], x[6:], jnp.asarray(LABELS[:6] == LABELS[6:]), margin=2.0),
        lambda x: margin(x[:6], x[6:], LABELS[:6] == LABELS[6:]),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_loss_is_what_64_bits_make_of_it_and_has_a_finite_gradient(form, rows, dtype):
    loss, exact = FORMS[form]
    rows = rows.astype(dtype)
    values, gradient = weighted(loss, rows)
    # A squared distance that 32 bits do not have is infinite.
    with np.errstate(over="ignore"):
        expected = exact(np.asarray(rows, np.float64)).astype(np.float32)
    digits = 1e-4 if dtype == jnp.float32 or "ntxent" in form else 2e-2
    assert_allclose(
        values, expected, rtol=digits, atol=max(digits * np.abs(np.float32(rows[np.isfinite(rows)])).max(), 1e-3)
    )
    assert np.isfinite(gradient).all()


def test_pairs_equal_single_pairs_unless_beyond_32_bits(rows, dtype):
    rows, same = rows.astype(dtype), LABELS[:, None] == LABELS
    table, gradient = map(np.asarray, weighted(pairs, rows))
    exact = np.asarray(rows, np.float64)
    lengths = np.square(exact - exact.mean(axis=0, keepdims=True)).sum(axis=1)
    squares = lengths[:, None] + lengths[None, :]
    fits = squares < LARGEST / 2
    expected = margin(exact[:, None], exact[None, :], same)
    digits = 1e-5 if dtype == jnp.float32 else 0.1
    assert (
        np.abs(table - expected)[fits] <= digits * squares[fits] + 2 * np.sqrt(digits * squares[fits]) + 1e-12
    ).all()
    assert np.isinf(table[same & (squares > 2 * LARGEST)]).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("scale", [1e30, 1e-9])
@pytest.mark.parametrize("form", ["ntxent", "tiled"])
def test_the_length_of_a_row_does_not_count(form, scale):
    loss, _ = FORMS[form]
    values, gradient = weighted(loss, np.float32(ROWS))
    scaled, slope = weighted(loss, np.float32(ROWS * scale))
    assert_allclose(scaled, values, rtol=1e-5)
    assert_allclose(np.asarray(slope) * scale, gradient, atol=1e-6)


SHAPE = (9, 7, 1)
OBJECTIVE = {
    name: objectives.make(OBJECTIVES[name], Task(encoders.make(ENCODERS["fc"]), SHAPE, D))
    for name in options.names(objectives)
}
IMAGES = jnp.asarray(RANDOM.random((N, *SHAPE)), jnp.float32)


@partial(jax.jit, static_argnums=0)
def scored(name, embedding, prediction, labels):
    """Return the gradient of an objective's loss by its prediction, and its scores."""
    objective = OBJECTIVE[name]
    # A teacher that says the same of other rows.
    teacher = jax.tree.map(lambda rows: rows[::-1], Outputs(embedding, prediction)) if objective.teacher else None
    memory = objective.memory(jax.random.key(1))

    def loss(prediction):
        outputs = Outputs(embedding, prediction)
        scores = objective.score(Seen(outputs, Batch(IMAGES, labels), teacher, memory, jax.random.key(2)))
        return scores["loss"].mean(), scores

    return jax.grad(loss, has_aux=True)(prediction)


def odd(rows, shape):
    """Give odd rows as many numbers as a prediction has."""
    return np.float32(np.resize(rows.T, (np.prod(shape[1:]), N)).T.reshape(shape))


@pytest.mark.parametrize("labels", [LABELS, np.zeros(N, int)], ids=["classes", "one_class"])
@pytest.mark.parametrize("name", OBJECTIVE)
def test_an_objective_scores_odd_outputs_with_a_finite_gradient(name, labels, rows):
    head = OBJECTIVE[name].head.init_with_output
    shapes = jax.eval_shape(partial(head, train=False), jax.random.key(0), np.ones((N, D)))[0]
    prediction = jax.tree.map(lambda made: odd(rows, made.shape), shapes)
    gradient, scores = scored(name, np.float32(rows), prediction, labels)
    assert not any(np.isnan(score).any() for score in scores.values())
    assert all(np.isfinite(slope).all() for slope in jax.tree.leaves(gradient))
    # Where a distance is more than 32 bits have, the run ends because its loss is infinite.
    lengths = name in ("margin", "triplet", "vicreg", "sigreg")
    assert np.isfinite(scores["loss"]).all() or (lengths and np.abs(rows).max() > 1e9)


spread = jax.jit(collapse.spread)


def test_a_spread_is_a_share_of_the_length_however_long_the_rows_are(rows):
    rows = np.float32(rows)
    exact = np.float64(rows)
    lengths = np.linalg.norm(exact - exact.mean(axis=0, keepdims=True), axis=1)
    scale = np.maximum(np.sqrt(np.mean(np.sum(exact**2, axis=1))), 1e-12)
    assert_allclose(spread(rows), lengths / scale, rtol=1e-3, atol=1e-6)
    assert_allclose(spread(rows, np.float32(2)), lengths / 2, rtol=1e-3, atol=1e-6)
