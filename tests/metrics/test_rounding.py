"""Distances that float32 would blur: rows, columns and means far beyond the spread, against float64."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_score

from jaxembed.embed import index
from jaxembed.kernels import nearest, space
from jaxembed.metrics import clusters, geometry, overlap, retrieval, sphere, views

N, D, CLASSES, K = 240, 12, 4, 5
LABELS = np.arange(N) % CLASSES


def blobs() -> np.ndarray:
    random = np.random.default_rng(0)
    return 2 * random.normal(size=(CLASSES, D))[LABELS] + random.normal(size=(N, D))


def scaled(rows, columns, factor: float) -> np.ndarray:
    points = blobs()
    points[rows, columns] *= factor
    return points


def shifted(rows, shift) -> np.ndarray:
    points = blobs()
    points[rows] += shift
    return points


def copies(factor: float) -> np.ndarray:
    """Three rows in the place of twelve: more copies than neighbours, beside a far row."""
    points = blobs()[np.arange(N) // 12 * 12 + LABELS]
    points[7] *= factor
    return points


ALL, DIRECTION = slice(None), np.random.default_rng(1).normal(size=D)
CASES = {
    "ordinary": blobs,
    "a row of 3e5": lambda: scaled(7, ALL, 3e5),
    "a row of 1e8": lambda: scaled(7, ALL, 1e8),
    "rows of 1e6": lambda: scaled(np.arange(0, N, 9), ALL, 1e6),
    "a group at 1e6": lambda: shifted(np.arange(0, N, 9), 1e6 * np.eye(D)[3]),
    "two groups 1e6 apart": lambda: shifted(np.arange(0, N, 3), 1e6 * np.eye(D)[3]),
    "a column of 1e6": lambda: scaled(ALL, 3, 1e6),
    "1e3 in common": lambda: shifted(ALL, 1e3 * DIRECTION),
    "1e6 in common": lambda: shifted(ALL, 1e6 * DIRECTION),
    "1e4 in common, a row of 1e6": lambda: (
        shifted(ALL, 1e4 * DIRECTION) * np.where(np.arange(N) == 7, 1e6, 1)[:, None]
    ),
    "copies beside 1e6": lambda: copies(2.0**20),
}


@pytest.fixture(params=CASES)
def embeddings(request) -> np.ndarray:
    return CASES[request.param]().astype(np.float32)


@pytest.fixture(params=["cosine", "euclidean"])
def distance(request) -> str:
    return request.param


@pytest.fixture
def squared(embeddings, distance) -> np.ndarray:
    """All squared distances, from differences in float64."""
    points = embeddings.astype(np.float64)
    if distance == "cosine":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return cdist(points, points, "sqeuclidean")


def share_found(rows: np.ndarray, squared: np.ndarray) -> float:
    """The share of the rows found that are as near as the nearest ones."""
    last = np.sort(squared, axis=1)[:, rows.shape[1] - 1, None]
    return float(np.mean(np.take_along_axis(squared, rows, axis=1) <= last * (1 + 1e-5)))


def test_the_nearest_rows_are_found(embeddings, squared, distance):
    rows, distances = index.Exact(embeddings, distance=distance).search(embeddings, K)
    assert share_found(rows, squared) > 0.99
    np.testing.assert_allclose(distances, np.sqrt(np.take_along_axis(squared, rows, axis=1)), rtol=1e-3, atol=1e-16)
    assert share_found(nearest.find(embeddings, embeddings, neighbours=K, distance=distance), squared) > 0.99
    others = squared + np.diag(np.full(N, np.inf))
    assert share_found(nearest.others(space.of(embeddings, distance=distance), neighbours=K)[0], others) > 0.99


def test_classes_are_measured_as_they_should_be(embeddings, squared, distance):
    same, itself = np.equal.outer(LABELS, LABELS), np.eye(N, dtype=bool)
    apart = np.sqrt(squared)
    measured = geometry.measure(embeddings, LABELS, distance=distance)
    expected = silhouette_score(np.where(itself, 0, apart), LABELS, metric="precomputed")
    assert measured["silhouette"] == pytest.approx(expected, abs=1e-3)
    assert measured["distance_ratio"] == pytest.approx(apart[same & ~itself].mean() / apart[~same].mean(), rel=1e-3)
    # Equally near rows of other classes come first.
    order = np.lexsort((same, np.where(itself, np.inf, squared)), axis=1)
    recall = np.mean(LABELS[order[:, 0]] == LABELS)
    assert retrieval.measure(embeddings, LABELS, distance=distance)["recall_at_1"] == pytest.approx(
        recall, abs=0.01
    )


def test_pairs_overlap_as_they_should(embeddings, squared, distance):
    found = np.concatenate([each for _, each in space.squared_distances(space.of(embeddings, distance=distance))])
    np.testing.assert_allclose(np.sqrt(found), np.sqrt(squared), rtol=2e-2, atol=1e-20)
    shares = (overlap.overlap(*overlap.histogram(each, LABELS)[1:]) for each in (found, squared))
    assert next(shares) == pytest.approx(next(shares), abs=0.01)


@pytest.mark.parametrize("case", ["a row of 3e5", "a group at 1e6", "two groups 1e6 apart", "1e6 in common"])
def test_clusters_are_those_of_float64(case):
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    points = CASES[case]().astype(np.float32).astype(np.float64)
    expected = KMeans(CLASSES, n_init=1, max_iter=50, random_state=0).fit_predict(points - points.mean(axis=0))
    found = clusters.nmi(space.of(points.astype(np.float32), distance="euclidean"), LABELS)
    assert found == pytest.approx(normalized_mutual_info_score(LABELS, expected), abs=0.05)


def test_directions_with_much_in_common_keep_their_digits():
    points = shifted(ALL, 1e4 * DIRECTION).astype(np.float32)
    directions = points / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
    spread = np.sqrt(D) * directions.std(axis=0).mean()
    assert sphere.dimension_spread(points) == pytest.approx(spread, rel=1e-3)
    apart = np.square(directions[::2] - directions[1::2]).sum(axis=1).mean()
    assert views.alignment(points[::2], points[1::2]) == pytest.approx(apart, rel=1e-3)
