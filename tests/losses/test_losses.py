"""The losses against values worked out by hand, oracles written by others, their invariances and limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose
from scipy import special
from sklearn.metrics import log_loss, mean_absolute_error

from jaxembed import losses
from jaxembed.devices import mesh

RANDOM = np.random.default_rng(7)
ROWS = RANDOM.normal(size=(10, 5)).astype(np.float32) * np.arange(1, 11, dtype=np.float32)[:, None]

# One program each; called as they are, every operation in them would be one.
l1 = jax.jit(losses.l1)
cross_entropy = jax.jit(losses.cross_entropy, static_argnames="smoothing")
margin = jax.jit(losses.margin, static_argnames="margin")
ntxent_tiled = jax.jit(losses.ntxent_tiled, static_argnames=("temperature", "tile"))


@partial(jax.jit, static_argnames="margin")
def margin_slope(first, second, same, *, margin):
    """The gradient of the losses' sum with respect to the first rows."""
    return jax.grad(lambda x: losses.margin(x, second, same, margin=margin).sum())(first)


def test_l1_by_hand():
    prediction = np.array([[0.0, 1.0], [0.5, 0.25]])
    target = np.array([[1.0, 1.0], [0.25, 1.0]])
    assert_allclose(l1(prediction, target), [0.5, 0.5])


def test_l1_is_scikit_learns_mean_absolute_error_row_by_row():
    prediction, target = RANDOM.random((2, 4, 3, 5, 2)).astype(np.float32)
    expected = [mean_absolute_error(t.ravel(), p.ravel()) for p, t in zip(prediction, target, strict=True)]
    assert_allclose(l1(prediction, target), expected, rtol=1e-6)


def test_l1_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="equal shapes"):
        l1(np.ones((3, 4, 1)), np.ones((3, 4, 2)))


def test_l1_has_a_finite_gradient_where_the_target_is_met():
    image = jnp.asarray(np.full((2, 3), 0.5))
    assert np.isfinite(jax.jit(jax.grad(lambda x: losses.l1(x, image).sum()))(image)).all()


def test_cross_entropy_by_hand():
    # Odds of 3 to 1 for the first class, then against it.
    logits = np.log([[3.0, 1.0], [3.0, 1.0]])
    assert_allclose(cross_entropy(logits, np.array([0, 1])), [np.log(4 / 3), np.log(4)], rtol=1e-6)


def test_cross_entropy_is_scikit_learns_log_loss():
    logits, labels = RANDOM.normal(size=(20, 4)).astype(np.float32), RANDOM.integers(0, 4, 20)
    expected = log_loss(labels, special.softmax(logits, axis=1), labels=range(4))
    assert_allclose(np.mean(np.asarray(cross_entropy(logits, labels))), expected, rtol=1e-5)


def test_cross_entropy_of_equal_logits_is_log_k():
    assert_allclose(cross_entropy(np.zeros((2, 7)), np.array([0, 6])), np.log(7), rtol=1e-6)


def test_cross_entropy_with_smoothing_is_that_of_mixed_targets():
    logits, labels = RANDOM.normal(size=(20, 4)).astype(np.float32), RANDOM.integers(0, 4, 20)
    expected = -(0.8 * np.eye(4)[labels] + 0.2 / 4) * special.log_softmax(logits, axis=1)
    assert_allclose(cross_entropy(logits, labels, smoothing=0.2), expected.sum(axis=1), rtol=1e-5)


def test_cross_entropy_survives_huge_logits():
    loss, gradient = jax.jit(jax.value_and_grad(lambda x: losses.cross_entropy(x, jnp.array([1])).sum()))(
        np.array([[1e4, -1e4]])
    )
    assert float(loss) == 2e4
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


@partial(jax.jit, static_argnames="temperature")
def ring(rows, *, temperature):
    """Tiled NT-Xent over as many devices as divide the rows."""
    count = next(count for count in (8, 5, 4, 3, 2, 1) if len(rows) % count == 0)
    devices = mesh.make(jax.devices()[:count])
    with mesh.around(devices):
        return losses.ntxent_tiled(mesh.split(devices, rows), temperature=temperature, tile=3)


# One loss in three forms.
FORMS = {
    "plain": jax.jit(losses.ntxent, static_argnames="temperature"),
    "tiled": partial(ntxent_tiled, tile=3),
    "ring": ring,
}


@pytest.fixture(params=FORMS)
def ntxent(request):
    return FORMS[request.param]


@partial(jax.jit, static_argnames=("loss", "temperature"))
def mean_and_gradient(loss, rows, temperature):
    return jax.value_and_grad(lambda rows: loss(rows, temperature=temperature).mean())(rows)


def test_ntxent_by_hand(ntxent):
    # Views 0, 2 agree and are orthogonal to 1, 3, which are opposite each other; temperature 1.
    rows = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -3.0]])
    e = np.e
    expected = [np.log((e + 2) / e), np.log((2 + 1 / e) / (1 / e))] * 2
    assert_allclose(ntxent(rows, temperature=1.0), expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_ntxent_follows_the_paper(ntxent, temperature):
    expected = ntxent_from_the_paper(ROWS.astype(np.float64), temperature)
    assert_allclose(ntxent(ROWS, temperature=temperature), expected, rtol=1e-4)


@pytest.fixture(scope="module")
def optaxs_mean_and_gradient():
    # optax wants the two views in neighbouring labels rather than halves.
    labels = np.tile(np.arange(5), 2)
    with jax.numpy_rank_promotion("allow"):
        return mean_and_gradient(lambda rows, **options: optax.losses.ntxent(rows, labels, **options), ROWS, 0.3)


def test_ntxent_mean_and_gradient_are_optaxs(ntxent, optaxs_mean_and_gradient):
    ours, our_gradient = mean_and_gradient(ntxent, ROWS, 0.3)
    expected, gradient = optaxs_mean_and_gradient
    assert_allclose(ours, expected, rtol=1e-5)
    assert_allclose(our_gradient, gradient, atol=1e-6)


def test_ntxent_sees_directions_only(ntxent):
    scaled = ROWS * np.linspace(0.1, 50, 10, dtype=np.float32)[:, None]
    assert_allclose(ntxent(scaled, temperature=0.5), ntxent(ROWS, temperature=0.5), rtol=1e-4)


def test_ntxent_follows_its_rows_when_images_change_places(ntxent):
    order = np.array([3, 0, 4, 1, 2])
    both = np.concatenate([order, order + 5])
    moved = ntxent(ROWS[both], temperature=0.5)
    assert_allclose(moved, np.asarray(ntxent(ROWS, temperature=0.5))[both], rtol=1e-5)


def test_ntxent_is_symmetric_in_the_views(ntxent):
    swapped = ntxent(np.roll(ROWS, 5, axis=0), temperature=0.5)
    assert_allclose(swapped, np.roll(ntxent(ROWS, temperature=0.5), 5), rtol=1e-5)


@pytest.mark.parametrize("value", [1, 0], ids=["equal", "zero"])
def test_ntxent_of_equal_rows_is_log_of_the_others_with_a_finite_gradient(ntxent, value):
    loss, gradient = mean_and_gradient(ntxent, np.full((6, 3), value, np.float32), 0.5)
    assert_allclose(loss, np.log(5), rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_ntxent_goes_to_zero_where_pairs_agree_and_others_do_not(ntxent):
    rows = np.tile(np.eye(4), (2, 1))
    assert np.asarray(ntxent(rows, temperature=0.01)).max() < 1e-30


def test_ntxent_of_one_image_is_zero(ntxent):
    assert_allclose(ntxent(np.array([[1.0, 2.0], [3.0, -1.0]]), temperature=0.1), 0, atol=1e-6)


def test_ntxent_takes_bfloat16_at_a_small_temperature(ntxent):
    rows = ROWS.astype(jnp.bfloat16)
    loss = ntxent(rows, temperature=0.01)
    assert loss.dtype == jnp.float32
    assert_allclose(loss, ntxent(rows.astype(np.float32), temperature=0.01), rtol=1e-5)


@pytest.mark.parametrize(("rows", "temperature"), [(3, 0.5), (0, 0.5), (4, 0.0), (4, -1.0)])
def test_ntxent_refuses_odd_rows_and_temperatures_that_are_not_positive(ntxent, rows, temperature):
    with pytest.raises(ValueError, match=r"even number|must be > 0"):
        ntxent(np.ones((rows, 2)), temperature=temperature)


@partial(jax.jit, static_argnums=0)
def both(loss, rows):
    """A loss of each row, and the gradient of a sum that weights every row differently."""
    values, pull = jax.vjp(loss, rows)
    return values, *pull(jnp.cos(jnp.arange(len(rows), dtype=values.dtype)))


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
    rows, several = rows.astype(dtype), mesh.make(jax.devices()[:devices])

    def tiled(rows):
        return losses.ntxent_tiled(mesh.split(several, rows), temperature=temperature, tile=tile)

    with mesh.around(several):
        loss, gradient = both(tiled, rows)
    expected, slope = both(partial(losses.ntxent, temperature=temperature), rows)
    # A logit of 1 / 0.01 is rounded to 8e-6.
    assert_allclose(loss, expected, atol=1e-5 * max(1, 0.05 / temperature), rtol=1e-5)
    # A row of zeros has a gradient of 1e12, which it had in the plain form.
    moving = np.arange(48) != 7
    gradient, slope = (np.asarray(each, np.float32)[moving] for each in (gradient, slope))
    scale = np.abs(slope).max()
    digits = 1e-5 if dtype == jnp.float32 else 1e-2
    assert_allclose(gradient / scale, slope / scale, atol=digits)


def test_tiles_take_the_memory_of_tiles():
    rows = jax.ShapeDtypeStruct((8192, 16), jnp.float32)
    gradient = jax.grad(lambda rows: losses.ntxent_tiled(rows, temperature=0.5, tile=256).mean())
    compiled = jax.jit(gradient).lower(rows).compile()
    # The plain form takes 268 MB for each copy of its matrix.
    assert compiled.memory_analysis().temp_size_in_bytes < 8e6


@pytest.mark.parametrize("tile", [0, -1])
def test_tiles_have_at_least_one_row(tile):
    with pytest.raises(ValueError, match="tile must be >= 1"):
        ntxent_tiled(np.ones((4, 2)), temperature=0.5, tile=tile)


def margin_from_the_paper(first: np.ndarray, second: np.ndarray, same: np.ndarray, m: float) -> list[float]:
    """Eq. (4) of Hadsell et al. 2006, one pair at a time; Y = 0 for a pair of one class."""
    values = []
    for x1, x2, y in zip(first, second, 1 - same, strict=True):
        distance = np.sqrt(((x1 - x2) ** 2).sum())
        values.append((1 - y) / 2 * distance**2 + y / 2 * max(0, m - distance) ** 2)
    return values


def test_margin_by_hand():
    first = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    second = np.array([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4]])
    same = np.array([True, False, False])
    assert_allclose(margin(first, second, same, margin=2.0), [12.5, 0.0, 0.5 * 1.5**2], rtol=1e-6)


def test_margin_follows_the_paper():
    first, second = RANDOM.normal(size=(2, 50, 3)).astype(np.float32)
    same = RANDOM.random(50) < 0.4
    expected = margin_from_the_paper(first, second, same.astype(int), 2.5)
    assert_allclose(margin(first, second, same, margin=2.5), expected, rtol=1e-5, atol=1e-6)


def test_margin_of_broadcast_rows_is_that_of_every_pair():
    rows, labels = ROWS[:4], np.array([0, 1, 0, 1])
    same = labels[:, None] == labels[None, :]
    table = np.asarray(margin(rows[:, None], rows[None, :], same, margin=9.0))
    for i in range(4):
        for j in range(4):
            pair = margin(rows[i : i + 1], rows[j : j + 1], same[i, j][None], margin=9.0)
            assert_allclose(table[i, j], pair.item(), rtol=1e-6)


def test_pairs_from_one_matmul_equal_single_pairs_in_value_and_gradient():
    # Far from the origin, with copies of a row: what a matmul rounds away.
    rows = (RANDOM.normal(size=(23, 5)) + 40)[[*range(23), 3, 3, 7]]
    labels = RANDOM.integers(0, 3, 26)
    same = jnp.asarray(labels[:, None] == labels[None, :])
    weights = RANDOM.uniform(size=(26, 26))

    def by_matmul(rows):
        table = losses.margin_pairs(rows, same, margin=4.0)
        return jnp.sum(weights * table), table

    def by_pairs(rows):
        table = losses.margin(rows[:, None], rows[None, :], same, margin=4.0)
        return jnp.sum(weights * table), table

    (our_gradient, ours), (their_gradient, theirs) = (
        jax.jit(jax.grad(loss, has_aux=True))(rows) for loss in (by_matmul, by_pairs)
    )
    assert_allclose(ours, theirs, atol=1e-4)
    assert_allclose(our_gradient, their_gradient, atol=1e-3)
    assert np.abs(their_gradient).max() > 1


@pytest.mark.parametrize("same", [True, False])
def test_every_pair_of_equal_rows_has_a_finite_gradient(same):
    rows, kind = np.full((4, 3), 0.1), jnp.asarray(np.full((4, 4), same))
    value, gradient = jax.jit(jax.value_and_grad(lambda x: losses.margin_pairs(x, kind, margin=1.0).sum()))(rows)
    assert float(value) == (0 if same else 8)
    assert_allclose(gradient, 0)


def test_margin_sees_differences_only():
    first, second = ROWS[:5], ROWS[5:]
    same = np.array([True, False, True, False, True])
    shifted = margin(first + 3, second + 3, same, margin=9.0)
    assert_allclose(shifted, margin(first, second, same, margin=9.0), rtol=1e-4)


@pytest.mark.parametrize("same", [True, False])
def test_margin_has_a_finite_gradient_where_a_pair_coincides(same):
    rows = np.ones((2, 3))
    assert_allclose(margin_slope(rows, rows, np.full(2, same), margin=1.0), 0)


def test_margin_has_no_gradient_for_a_pair_beyond_the_margin():
    first, second = np.zeros((1, 2)), np.array([[3.0, 4.0]])
    assert_allclose(margin_slope(first, second, np.array([False]), margin=1.0), 0)


def test_margin_pushes_a_close_pair_apart_along_its_line():
    first, second = np.zeros((1, 2)), np.array([[0.3, 0.4]])
    # dL/dx = (m - d) (second - first) / d: a step against it leads away.
    assert_allclose(margin_slope(first, second, np.array([False]), margin=1.0), [[0.3, 0.4]], rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_margin_must_be_positive(value):
    with pytest.raises(ValueError, match="must be > 0"):
        margin(np.ones((1, 2)), np.ones((1, 2)), np.array([True]), margin=value)


def test_margin_takes_bfloat16():
    first, second = np.split(ROWS.astype(jnp.bfloat16), 2)
    assert np.isfinite(margin(first, second, np.ones(5, bool), margin=1.0)).all()
