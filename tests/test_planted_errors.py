"""The benchmark that plants errors in a dataset: what is planted, and how the finding of it is counted."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmarks import errors
from jaxembed.types import Batch, Published

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (20, 12, 12, 3), np.uint8)


def test_average_precision_equals_scikit_learns_and_counts_missing_hits_as_zero():
    scores, hits = RANDOM.normal(size=200), RANDOM.random(200) < 0.1
    ranked = hits[np.argsort(-scores)]
    assert errors.average_precision(ranked, hits.sum()) == pytest.approx(average_precision_score(hits, scores))
    assert errors.average_precision(np.array([True, False, True]), 4) == pytest.approx((1 + 2 / 3) / 4)


def test_moved_copy_is_the_image_shifted_by_two_pixels():
    moved = errors.KINDS["moved"](IMAGES, np.random.default_rng(1))
    for image, copy in zip(IMAGES, moved, strict=True):
        shifts = [(0, 2), (0, -2), (2, 0), (-2, 0)]
        inside = [np.roll(image, shift, axis=(0, 1))[2:-2, 2:-2] for shift in shifts]
        assert sum((each == copy[2:-2, 2:-2]).all() for each in inside) == 1


@pytest.mark.parametrize("kind", errors.KINDS)
def test_a_copy_is_an_image_of_the_same_type(kind):
    copies = errors.KINDS[kind](IMAGES, np.random.default_rng(1))
    assert (copies.dtype, copies.shape) == (np.uint8, IMAGES.shape)
    assert (copies != IMAGES).any() == (kind != "exact")


def test_copies_are_found_by_an_embedding_that_maps_them_to_their_originals(monkeypatch):
    monkeypatch.setattr(errors, "COPIES", 5)
    images = RANDOM.integers(0, 256, (60, 8, 8, 1), np.uint8)
    labels = np.zeros(60, np.int32)
    published = Published(("a", "b"), Batch(images[:40], labels[:40]), Batch(images[40:], labels[40:]))
    found = errors.copies(
        published, lambda each: each.reshape(len(each), -1).astype(np.float32), distance="euclidean"
    )
    assert found["exact"] == dict.fromkeys(found["exact"], [1.0] * errors.DRAWS)
    blind = errors.copies(published, lambda each: np.ones((len(each), 2), np.float32), distance="euclidean")
    assert max(blind["exact"]["average_precision"]) < 1
