"""t-SNE: a picture and its trust, of however few points."""

import numpy as np
import pytest

from jaxembed.metrics import tsne


@pytest.mark.parametrize("n", [2, 3, 5, 60])
@pytest.mark.parametrize("d", [1, 2, 55])
def test_few_points_and_few_dimensions_have_a_picture(n, d):
    picture, trust = tsne.project(np.random.default_rng(0).normal(size=(n, d)).astype(np.float32))
    assert picture.shape == (n, 2)
    assert np.isfinite(picture).all()
    assert 0 <= trust <= 1


def test_a_collapsed_embedding_has_a_picture():
    picture, _ = tsne.project(np.zeros((20, 4), np.float32))
    assert np.isfinite(picture).all()
