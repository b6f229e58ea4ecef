"""Embeddings of any size: a measure is a number, without a warning, where squares and quotients leave float32."""

from types import SimpleNamespace

import numpy as np
import pytest
from test_metrics import FITTED, MODULES, PROTOCOL

from jaxembed import metrics
from jaxembed.embed import projection
from jaxembed.kernels import space
from jaxembed.metrics import Rows, tsne

SCALES = (1e-45, 1e-25, 1e-15, 3e-15, 1, 1e14)
N, CLASSES = 24, 3
LABELS = (np.arange(N) % CLASSES).astype(np.int32)


def cloud(scale: float, d: int = 5) -> np.ndarray:
    """Three blobs, up to six times the scale from the origin."""
    random = np.random.default_rng(0)
    return scale * (random.normal(size=(N, d)) + 3 * np.eye(CLASSES, d)[LABELS])


def far(scale: float) -> np.ndarray:
    """The blobs, far from the origin."""
    return 2 + cloud(scale)


def points(scale: float) -> np.ndarray:
    """A point for each class, two of them the same."""
    return scale * np.array([[1.0, 0, 2, 0, 0], [0, 3, 0, 0, 0], [0, 3, 0, 0, 0]])[LABELS]


def outlier(scale: float) -> np.ndarray:
    """The blobs, one of them with a row of the largest numbers that are allowed."""
    rows = cloud(scale)
    rows[7] = -space.LARGEST
    return rows


KINDS = {each.__name__: each for each in (cloud, far, points, outlier)}


def rows(kind: str, scale: float) -> Rows:
    embeddings = KINDS[kind](scale).clip(-space.LARGEST, space.LARGEST).astype(np.float32)
    pair = (embeddings, embeddings[::-1].copy())
    return Rows(embeddings, LABELS, CLASSES, pair=pair, predictions={"knn": LABELS[::-1]})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "distance"),
    [
        (name, distance)
        for name in FITTED
        for distance in ("cosine", "euclidean")
        if distance == "euclidean" or "distance" in metrics.wanted(MODULES[name])
    ],
)
def test_measures_are_finite_at_any_scale(name, kind, distance):
    protocol = SimpleNamespace(**(vars(PROTOCOL) | {"distance": distance}))
    for scale in SCALES:
        given = rows(kind, scale)
        numbers = metrics.fit(MODULES[name], given, protocol)(given).numbers
        for metric, number in numbers.items():
            # These may be infinite, where classes have the same mean and where nothing varies.
            assert np.isfinite(number) or (metric in ("cdnv", "alpha") and number == np.inf), (
                scale,
                metric,
                number,
            )


@pytest.mark.parametrize("kind", KINDS)
def test_t_sne_and_map_work_at_any_scale(kind):
    for scale in (1e-45, 1e-25, 3e-15, 1e14):
        picture, trust = tsne.project(rows(kind, scale).points)
        assert np.isfinite(picture).all(), scale
        assert 0 <= trust <= 1, scale
    for distance in ("cosine", "euclidean"):
        assert np.abs(projection.project(rows(kind, 1e-25).points, distance=distance)).max() <= 1, distance


def test_t_sne_of_many_dimensions_works_at_any_scale():
    for scale in (0, 1e-25, 1):
        picture, _ = tsne.project((scale * np.random.default_rng(0).normal(size=(60, 55))).astype(np.float32))
        assert np.isfinite(picture).all(), scale


def test_t_sne_does_not_depend_on_the_scale():
    embeddings = rows("cloud", 1).points
    picture, trust = tsne.project(embeddings)
    small, same = tsne.project(embeddings * np.float32(2.0**-40))
    np.testing.assert_array_equal(picture, small)
    assert same == trust
