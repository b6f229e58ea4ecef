"""Distances of all pairs against SciPy's, and by chunks of any size."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from jaxembed.kernels import space


def cloud(n: int, offset: float) -> np.ndarray:
    return (np.random.default_rng(5).normal(size=(n, 6)) * np.arange(1, 7) + offset).astype(np.float32)


def every_distance(points: np.ndarray) -> np.ndarray:
    return np.concatenate([squared for _, squared in space.squared_distances(points)])


@pytest.mark.parametrize("offset", [0, 5, 50])
def test_euclidean_distances_are_scipys(offset):
    rows = cloud(37, offset)
    squared = every_distance(space.of(rows, distance="euclidean"))
    assert_allclose(squared, cdist(rows.astype(np.float64), rows, "sqeuclidean"), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("offset", [0, 5, 50])
def test_in_the_space_of_the_cosine_a_squared_distance_is_twice_scipys_cosine_distance(offset):
    rows = cloud(37, offset)
    squared = every_distance(space.of(rows, distance="cosine"))
    assert_allclose(squared, 2 * cdist(rows.astype(np.float64), rows, "cosine"), atol=1e-6)


def test_distances_far_from_the_origin_keep_their_digits():
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) + np.float32(3000)
    squared = every_distance(space.of(rows, distance="euclidean"))
    assert_allclose(squared, cdist(rows.astype(np.float64), rows, "sqeuclidean"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_space_is_float32_round_the_origin(distance, dtype):
    points = space.of(cloud(9, 5).astype(dtype), distance=distance)
    assert points.dtype == np.float32
    assert_allclose(points.mean(axis=0), 0, atol=1e-5)


def test_a_far_outlier_does_not_blur_the_distances_of_the_others():
    rows = cloud(23, 5)
    rows[0] += 1e4
    (_, squared), *_ = space.squared_distances(space.of(rows, distance="euclidean"))
    near = cdist(rows[1:].astype(np.float64), rows[1:].astype(np.float64), "sqeuclidean")
    assert_allclose(squared[1:, 1:], near, rtol=0.2, atol=1)


def test_copies_lie_on_each_other_wherever_they_are():
    rows = cloud(5, 64)[np.arange(99) * 7 % 5] + 5
    for distance in ("cosine", "euclidean"):
        (_, squared), *_ = space.squared_distances(space.of(rows, distance=distance))
        assert_array_equal(squared == 0, np.equal.outer(np.arange(99) * 7 % 5, np.arange(99) * 7 % 5))


def test_directions_have_length_one_and_a_row_of_zeros_has_none():
    rows = cloud(5, 5)
    rows[2] = 0
    lengths = np.linalg.norm(space.directions(rows), axis=1)
    assert_allclose(lengths, [1, 1, 0, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("held", [1, 23, 24, 100, 23 * 23 - 1, 23 * 23])
def test_chunks_of_any_size_hold_the_same_distances_and_no_more_than_allowed(held, monkeypatch):
    points = space.of(cloud(23, 5), distance="euclidean")
    whole = every_distance(points)
    monkeypatch.setattr(space, "HELD", held)
    chunks = list(space.squared_distances(points))
    assert_array_equal(np.concatenate([rows for rows, _ in chunks]), np.arange(23))
    assert all(squared.shape == (len(rows), 23) for rows, squared in chunks)
    assert max(squared.size for _, squared in chunks) <= max(held, 23)
    # As few chunks as that allows, the last one ragged.
    assert len(chunks) == -(-23 // max(held // 23, 1))
    assert_allclose(np.concatenate([squared for _, squared in chunks]), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("held", [2**24, 100])
def test_near_duplicates_far_from_the_first_row_have_no_negative_distance(held, monkeypatch):
    monkeypatch.setattr(space, "HELD", held)
    rows = 1000 + np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32) * 1e-3
    rows[0] = 0
    squared = every_distance(space.of(rows, distance="euclidean"))
    assert_array_equal(np.diag(squared), 0)
    assert squared.min() == 0


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e3])
def test_rows_that_are_all_equal_are_at_exactly_zero(distance, value):
    rows = np.tile(np.float32(value) * np.arange(1, 8, dtype=np.float32), (50, 1))
    assert_array_equal(every_distance(space.of(rows, distance=distance)), 0)


@pytest.mark.parametrize(("size", "kept"), [(1e-45, False), (9e-16, False), (3e-15, True)])
def test_rows_that_hardly_differ_are_at_exactly_zero(size, kept):
    rows = np.float32(size) * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    points = space.of(rows, distance="euclidean")
    assert_array_equal(points, rows if kept else 0)
    assert every_distance(points).any() == kept


def test_one_row_is_at_zero_from_itself():
    ((rows, squared),) = space.squared_distances(space.of(cloud(1, 5), distance="cosine"))
    assert_array_equal(rows, [0])
    assert_array_equal(squared, [[0]])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(distance, value):
    rows = cloud(8, 5)
    rows[3, 1] = rows[6, 0] = value
    with pytest.raises(ValueError, match=rf"must be finite and within 1e\+15, got {value:g} in row 3$"):
        space.of(rows, distance=distance)


@pytest.mark.parametrize("chunk", [1, 7, 40, 100])
def test_the_moments_of_classes_are_numpys_in_chunks_of_any_size(chunk, monkeypatch):
    monkeypatch.setattr(space, "CHUNK", chunk)
    rows, labels = cloud(40, 50), np.random.default_rng(2).permutation(np.repeat([3, 5, 9], [1, 12, 27]))
    means, variances = space.moments(rows, labels)
    for i, label in enumerate((3, 5, 9)):
        mine = rows[labels == label].astype(np.float64)
        assert_allclose(means[i], mine.mean(axis=0), rtol=1e-12)
        assert_allclose(variances[i], mine.var(axis=0).sum(), rtol=1e-9)
