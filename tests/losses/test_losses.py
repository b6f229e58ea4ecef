"""The losses against values worked out by hand, oracles written by others, their invariances and limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss, mean_absolute_error

from jaxembed import losses
from jaxembed.devices import mesh

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(10, 5)).astype(np.float32) * np.arange(1, 11, dtype=np.float32)[:, None]


def test_l1_by_hand():
    prediction = jnp.array([[0.0, 1.0], [0.5, 0.25]])
    target = jnp.array([[1.0, 1.0], [0.25, 1.0]])
    assert_allclose(losses.l1(prediction, target), [0.5, 0.5])


def test_l1_is_scikit_learns_mean_absolute_error_row_by_row():
    prediction, target = RANDOM.random((2, 4, 3, 5, 2)).astype(np.float32)
    expected = [mean_absolute_error(t.ravel(), p.ravel()) for p, t in zip(prediction, target, strict=True)]
    assert_allclose(losses.l1(jnp.array(prediction), jnp.array(target)), expected, rtol=1e-6)


def test_l1_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="equal shapes"):
        losses.l1(jnp.ones((3, 4, 1)), jnp.ones((3, 4, 2)))


def test_l1_has_a_finite_gradient_where_the_target_is_met():
    image = jnp.full((2, 3), 0.5)
    assert np.isfinite(jax.grad(lambda x: losses.l1(x, image).sum())(image)).all()


def test_cross_entropy_by_hand():
    # Odds of 3 to 1 for the first class, then against it.
    logits = jnp.log(jnp.array([[3.0, 1.0], [3.0, 1.0]]))
    assert_allclose(losses.cross_entropy(logits, jnp.array([0, 1])), [np.log(4 / 3), np.log(4)], rtol=1e-6)


def test_cross_entropy_is_scikit_learns_log_loss():
    logits, labels = RANDOM.normal(size=(20, 4)).astype(np.float32), RANDOM.integers(0, 4, 20)
    expected = log_loss(labels, jax.nn.softmax(logits), labels=range(4))
    assert_allclose(losses.cross_entropy(jnp.array(logits), jnp.array(labels)).mean(), expected, rtol=1e-5)


def test_cross_entropy_of_equal_logits_is_log_k():
    assert_allclose(losses.cross_entropy(jnp.zeros((2, 7)), jnp.array([0, 6])), np.log(7), rtol=1e-6)


def test_cross_entropy_with_smoothing_is_that_of_mixed_targets():
    logits, labels = RANDOM.normal(size=(20, 4)).astype(np.float32), RANDOM.integers(0, 4, 20)
    expected = -(0.8 * np.eye(4)[labels] + 0.2 / 4) * np.log(jax.nn.softmax(logits))
    smoothed = losses.cross_entropy(jnp.array(logits), jnp.array(labels), smoothing=0.2)
    assert_allclose(smoothed, expected.sum(axis=1), rtol=1e-5)


def test_cross_entropy_survives_huge_logits():
    loss, gradient = jax.value_and_grad(lambda x: losses.cross_entropy(x, jnp.array([1])).sum())(
        jnp.array([[1e4, -1e4]])
    )
    assert loss == 2e4
    assert np.isfinite(gradient).all()


def ntxent_from_the_paper(rows: np.ndarray, temperature: float) -> list[float]:
    """Eq. (1) of Chen et al. 2020, one row at a time."""
    n = len(rows)

    def similarity(i: int, j: int) -> float:
        return rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])

    values = []
    for i in range(n):
        j = (i + n // 2) % n
        others = sum(np.exp(similarity(i, k) / temperature) for k in range(n) if k != i)
        values.append(-np.log(np.exp(similarity(i, j) / temperature) / others))
    return values


@pytest.fixture(params=["plain", "tiled", "ring"])
def ntxent(request):
    """The forms of NT-Xent, which are one loss: tiles of 3 rows; and over as many devices as divide the rows."""

    def ring(rows, **options):
        devices = next(count for count in (8, 5, 4, 3, 2, 1) if len(rows) % count == 0)
        mesh_of_some = mesh.make(jax.devices()[:devices])

        @jax.jit
        def loss(rows):
            with mesh.around(mesh_of_some):
                return losses.ntxent_tiled(mesh.split(mesh_of_some, rows), tile=3, **options)

        return loss(rows)

    return {"plain": losses.ntxent, "tiled": partial(losses.ntxent_tiled, tile=3), "ring": ring}[request.param]


def test_ntxent_by_hand(ntxent):
    # Views 0, 2 agree and are orthogonal to 1, 3, which are opposite each other; temperature 1.
    rows = jnp.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -3.0]])
    e = np.e
    expected = [np.log((e + 2) / e), np.log((2 + 1 / e) / (1 / e))] * 2
    assert_allclose(ntxent(rows, temperature=1.0), expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_ntxent_follows_the_paper(ntxent, temperature):
    expected = ntxent_from_the_paper(ROWS.astype(np.float64), temperature)
    assert_allclose(ntxent(jnp.array(ROWS), temperature=temperature), expected, rtol=1e-4)


def test_ntxent_mean_and_gradient_are_optaxs(ntxent):
    # optax wants the two views in neighbouring labels rather than halves.
    labels = jnp.tile(jnp.arange(5), 2)

    def theirs(rows):
        with jax.numpy_rank_promotion("allow"):
            return optax.losses.ntxent(rows, labels, temperature=0.3)

    ours, our_gradient = jax.value_and_grad(lambda x: ntxent(x, temperature=0.3).mean())(jnp.array(ROWS))
    expected, gradient = jax.value_and_grad(theirs)(jnp.array(ROWS))
    assert_allclose(ours, expected, rtol=1e-5)
    assert_allclose(our_gradient, gradient, atol=1e-6)


def test_ntxent_sees_directions_only(ntxent):
    scaled = jnp.array(ROWS) * jnp.linspace(0.1, 50, 10)[:, None]
    assert_allclose(ntxent(scaled, temperature=0.5), ntxent(jnp.array(ROWS), temperature=0.5), rtol=1e-4)


def test_ntxent_follows_its_rows_when_images_change_places(ntxent):
    order = np.array([3, 0, 4, 1, 2])
    both = np.concatenate([order, order + 5])
    moved = ntxent(jnp.array(ROWS[both]), temperature=0.5)
    assert_allclose(moved, ntxent(jnp.array(ROWS), temperature=0.5)[both], rtol=1e-5)


def test_ntxent_is_symmetric_in_the_views(ntxent):
    swapped = ntxent(jnp.roll(jnp.array(ROWS), 5, axis=0), temperature=0.5)
    assert_allclose(swapped, jnp.roll(ntxent(jnp.array(ROWS), temperature=0.5), 5), rtol=1e-5)


@pytest.mark.parametrize("rows", [jnp.ones((6, 3)), jnp.zeros((6, 3))], ids=["equal", "zero"])
def test_ntxent_of_equal_rows_is_log_of_the_others_with_a_finite_gradient(ntxent, rows):
    loss, gradient = jax.value_and_grad(lambda x: ntxent(x, temperature=0.5).mean())(rows)
    assert_allclose(loss, np.log(5), rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_ntxent_goes_to_zero_where_pairs_agree_and_others_do_not(ntxent):
    rows = jnp.tile(jnp.eye(4), (2, 1))
    assert ntxent(rows, temperature=0.01).max() < 1e-30


def test_ntxent_of_one_image_is_zero(ntxent):
    assert_allclose(ntxent(jnp.array([[1.0, 2.0], [3.0, -1.0]]), temperature=0.1), 0, atol=1e-6)


def test_ntxent_takes_bfloat16_at_a_small_temperature(ntxent):
    rows = jnp.array(ROWS, jnp.bfloat16)
    loss = ntxent(rows, temperature=0.01)
    assert loss.dtype == jnp.float32
    assert_allclose(loss, ntxent(rows.astype(jnp.float32), temperature=0.01), rtol=1e-5)


@pytest.mark.parametrize(("rows", "temperature"), [(3, 0.5), (0, 0.5), (4, 0.0), (4, -1.0)])
def test_ntxent_refuses_odd_rows_and_temperatures_that_are_not_positive(ntxent, rows, temperature):
    with pytest.raises(ValueError, match=r"even number|must be > 0"):
        ntxent(jnp.ones((rows, 2)), temperature=temperature)


def both(loss, rows):
    """A loss of each row, and the gradient of a sum that weights every row differently."""
    weights = jnp.cos(jnp.arange(len(rows)))
    return loss(rows), jax.grad(lambda rows: loss(rows) @ weights)(rows)


# Tiles of one row, an odd number of tiles, tiles that do not divide the rows or are larger; temperatures on both
# sides of where the rows' maxima are needed.
@pytest.mark.parametrize(
    ("tile", "temperature", "dtype", "devices"),
    [
        (1, 0.5, jnp.float32, 8),
        (7, 0.01, jnp.float32, 8),
        (7, 0.02, jnp.float32, 1),
        (7, 0.03, jnp.float32, 8),
        (7, 1.0, jnp.float32, 8),
        (10, 0.01, jnp.bfloat16, 1),
        (10, 0.1, jnp.bfloat16, 8),
        (64, 0.01, jnp.float32, 1),
        (64, 0.1, jnp.float32, 8),
    ],
)
def test_tiled_ntxent_is_the_plain_one(tile, temperature, dtype, devices):
    rows = np.random.default_rng(1).normal(size=(48, 5)) * 3
    rows[7], rows[24], rows[3] = 0, rows[0], -rows[1]  # no direction; a pair that coincides; opposites
    rows, several = jnp.array(rows, dtype), mesh.make(jax.devices()[:devices])

    @partial(jax.jit, static_argnums=0)
    def tiled(tile, rows):
        with mesh.around(several):
            loss = partial(losses.ntxent_tiled, temperature=temperature, tile=tile)
            return both(lambda rows: loss(mesh.split(several, rows)), rows)

    loss, gradient = tiled(tile, rows)
    expected, slope = both(partial(losses.ntxent, temperature=temperature), rows)
    # A logit of 1 / 0.01 is rounded to 8e-6.
    assert_allclose(loss, expected, atol=1e-5 * max(1, 0.05 / temperature), rtol=1e-5)
    # A row of zeros has a gradient of 1e12, which it had in the plain form.
    moving = np.arange(48) != 7
    scale = np.abs(np.float32(slope[moving])).max()
    digits = 1e-5 if dtype == jnp.float32 else 1e-2
    assert_allclose(np.float32(gradient[moving]) / scale, np.float32(slope[moving]) / scale, atol=digits)


def test_tiles_take_the_memory_of_tiles():
    rows = jax.ShapeDtypeStruct((8192, 16), jnp.float32)
    gradient = jax.grad(lambda rows: losses.ntxent_tiled(rows, temperature=0.5, tile=256).mean())
    compiled = jax.jit(gradient).lower(rows).compile()
    # The plain form takes 268 MB for each copy of its matrix.
    assert compiled.memory_analysis().temp_size_in_bytes < 8e6


@pytest.mark.parametrize("tile", [0, -1])
def test_tiles_have_at_least_one_row(tile):
    with pytest.raises(ValueError, match="tile must be >= 1"):
        losses.ntxent_tiled(jnp.ones((4, 2)), temperature=0.5, tile=tile)


def margin_from_the_paper(first: np.ndarray, second: np.ndarray, same: np.ndarray, m: float) -> list[float]:
    """Eq. (4) of Hadsell et al. 2006, one pair at a time; Y = 0 for a pair of one class."""
    values = []
    for x1, x2, y in zip(first, second, 1 - same, strict=True):
        distance = np.sqrt(((x1 - x2) ** 2).sum())
        values.append((1 - y) / 2 * distance**2 + y / 2 * max(0, m - distance) ** 2)
    return values


def test_margin_by_hand():
    first = jnp.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    second = jnp.array([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4]])
    same = jnp.array([True, False, False])
    assert_allclose(losses.margin(first, second, same, margin=2.0), [12.5, 0.0, 0.5 * 1.5**2], rtol=1e-6)


def test_margin_follows_the_paper():
    first, second = RANDOM.normal(size=(2, 50, 3)).astype(np.float32)
    same = RANDOM.random(50) < 0.4
    expected = margin_from_the_paper(first, second, same.astype(int), 2.5)
    ours = losses.margin(jnp.array(first), jnp.array(second), jnp.array(same), margin=2.5)
    assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_margin_of_broadcast_rows_is_that_of_every_pair():
    rows, labels = jnp.array(ROWS[:4]), jnp.array([0, 1, 0, 1])
    same = labels[:, None] == labels[None, :]
    table = losses.margin(rows[:, None], rows[None, :], same, margin=9.0)
    for i in range(4):
        for j in range(4):
            pair = losses.margin(rows[i : i + 1], rows[j : j + 1], same[i, j][None], margin=9.0)
            assert_allclose(table[i, j], pair[0], rtol=1e-6)


def test_every_pair_from_one_matmul_has_the_value_and_the_gradient_of_the_pair_alone():
    # Far from the origin, with copies of a row: what a matmul rounds away.
    rows = jnp.array(RANDOM.normal(size=(23, 5)) + 40)[jnp.array([*range(23), 3, 3, 7])]
    labels = jnp.array(RANDOM.integers(0, 3, 26))
    same = labels[:, None] == labels[None, :]
    weights = jnp.array(RANDOM.uniform(size=(26, 26)))

    def by_matmul(rows):
        table = losses.margin_pairs(rows, same, margin=4.0)
        return jnp.sum(weights * table), table

    def by_pairs(rows):
        table = losses.margin(rows[:, None], rows[None, :], same, margin=4.0)
        return jnp.sum(weights * table), table

    ours, (ours_gradient, theirs_gradient) = (
        by_matmul(rows),
        (jax.grad(loss, has_aux=True)(rows)[0] for loss in (by_matmul, by_pairs)),
    )
    assert_allclose(ours[1], by_pairs(rows)[1], atol=1e-4)
    assert_allclose(ours_gradient, theirs_gradient, atol=1e-3)
    assert np.abs(theirs_gradient).max() > 1


@pytest.mark.parametrize("same", [True, False])
def test_every_pair_of_equal_rows_has_a_finite_gradient(same):
    rows, kind = jnp.full((4, 3), 0.1), jnp.full((4, 4), same)
    value, gradient = jax.value_and_grad(lambda x: losses.margin_pairs(x, kind, margin=1.0).sum())(rows)
    assert value == (0 if same else 8)
    assert_allclose(gradient, 0)


def test_margin_sees_differences_only():
    first, second = jnp.array(ROWS[:5]), jnp.array(ROWS[5:])
    same = jnp.array([True, False, True, False, True])
    shifted = losses.margin(first + 3, second + 3, same, margin=9.0)
    assert_allclose(shifted, losses.margin(first, second, same, margin=9.0), rtol=1e-4)


@pytest.mark.parametrize("same", [True, False])
def test_margin_has_a_finite_gradient_where_a_pair_coincides(same):
    rows = jnp.ones((2, 3))
    gradient = jax.grad(lambda x: losses.margin(x, rows, jnp.full(2, same), margin=1.0).sum())(rows)
    assert_allclose(gradient, 0)


def test_margin_has_no_gradient_for_a_pair_beyond_the_margin():
    first, second = jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])
    gradient = jax.grad(lambda x: losses.margin(x, second, jnp.array([False]), margin=1.0).sum())(first)
    assert_allclose(gradient, 0)


def test_margin_pushes_a_close_pair_apart_along_its_line():
    first, second = jnp.zeros((1, 2)), jnp.array([[0.3, 0.4]])
    gradient = jax.grad(lambda x: losses.margin(x, second, jnp.array([False]), margin=1.0).sum())(first)
    # dL/dx = (m - d) (second - first) / d: a step against it leads away.
    assert_allclose(gradient, [[0.3, 0.4]], rtol=1e-5)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="must be > 0"):
        losses.margin(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.array([True]), margin=margin)


def test_margin_takes_bfloat16():
    first, second = jnp.array(ROWS[:5], jnp.bfloat16), jnp.array(ROWS[5:], jnp.bfloat16)
    assert np.isfinite(losses.margin(first, second, jnp.ones(5, bool), margin=1.0)).all()
