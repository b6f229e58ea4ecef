"""Overlap: histograms of distances, and the area that two of them share."""

import numpy as np
import pytest

from jaxembed.metrics import overlap


def test_the_distances_of_pairs_are_binned_by_whether_they_share_a_class():
    # Rows at 0, 1 and 3 on a line; the first two in one class: distances 1 within, 3 and 2 between.
    squared = np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]], np.float32)
    edges, same, different = overlap.histogram(squared, np.array([0, 0, 1]))
    assert (edges[0], edges[-1], len(edges)) == (0, 3, overlap.BINS + 1)
    assert same[np.searchsorted(edges, 1, "right") - 1] == 1
    assert different[np.searchsorted(edges, 2, "right") - 1] == different[-1] == 0.5


@pytest.mark.parametrize("squared", [0, 1e-45, 1e-31])
def test_a_collapsed_embedding_has_a_scale(squared):
    squared = np.full((4, 4), squared, np.float32)
    edges, same, different = overlap.histogram(squared, np.array([0, 0, 1, 1]))
    assert edges[-1] == 1
    assert overlap.overlap(same, different) == 1


def test_overlap_is_the_common_area():
    assert overlap.overlap(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.25, 0.75])) == pytest.approx(0.25)
