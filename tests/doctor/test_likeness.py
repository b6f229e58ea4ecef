"""Likeness: by hand, against NumPy's correlation, and in its limits."""

import numpy as np
import pytest

from jaxembed.doctor import likeness

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 20, 24, 3), np.uint8)


def test_copies_are_alike_at_any_brightness_and_shift_up_to_two_pixels():
    darker = np.rint(0.5 * IMAGES + 30).astype(np.uint8)
    np.testing.assert_allclose(likeness.of_pairs(IMAGES, IMAGES), 1, rtol=1e-6)
    np.testing.assert_allclose(likeness.of_pairs(IMAGES, darker), 1, atol=1e-3)
    for down, right in ((2, 0), (-2, 1), (0, -2)):
        moved = np.roll(IMAGES, (down, right), axis=(1, 2))
        np.testing.assert_allclose(likeness.of_pairs(IMAGES, moved), 1, rtol=1e-6)
    assert (likeness.of_pairs(IMAGES, np.roll(IMAGES, 5, axis=1)) < 0.5).all()


def test_likeness_is_the_largest_correlation_of_the_overlap():
    first, second = IMAGES[:1], IMAGES[1:2]
    grey = [image[0].mean(axis=2) for image in (first, second)]
    largest = -1.0
    for down in range(-2, 3):
        for right in range(-2, 3):
            a = grey[0][max(down, 0) : 20 + min(down, 0), max(right, 0) : 24 + min(right, 0)]
            b = grey[1][max(-down, 0) : 20 - max(down, 0), max(-right, 0) : 24 - max(right, 0)]
            largest = max(largest, np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert likeness.of_pairs(first, second)[0] == pytest.approx(largest, abs=1e-5)


def test_flat_images_are_alike_and_not_like_others():
    flat, other = np.full((1, 8, 8, 1), 7, np.uint8), np.full((1, 8, 8, 1), 200, np.uint8)
    assert likeness.of_pairs(flat, other)[0] == 1
    assert likeness.of_pairs(flat, IMAGES[:1, :8, :8, :1])[0] == 0


def test_images_with_content_outside_the_overlap_are_no_copies():
    bars = np.zeros((2, 16, 16, 1), np.uint8)
    bars[0, :2] = bars[1, -2:] = 255
    assert likeness.of_pairs(bars[:1], bars[1:])[0] < 0.5
    # What the parts do show, a faint background, is the same in both; it is little of what varies.
    bars += np.arange(0, 16, dtype=np.uint8)[None, None, :, None] * (bars == 0)
    assert likeness.of_pairs(bars[:1], bars[1:])[0] < 0.5
    dots = np.zeros((2, 8, 8, 1), np.uint8)
    dots[0, 0, 3] = dots[1, 7, 5] = 255
    assert likeness.of_pairs(dots[:1], dots[1:])[0] < 0.5
    assert likeness.of_pairs(dots[:1], np.roll(dots[:1], 2, axis=2))[0] == pytest.approx(1)


def test_large_images_are_reduced_and_tiny_images_are_compared():
    large = np.repeat(np.repeat(IMAGES, 9, axis=1), 9, axis=2)
    np.testing.assert_allclose(likeness.of_pairs(large, large), 1, rtol=1e-6)
    for side in (1, 2, 3):
        tiny = IMAGES[:, :side, :side]
        assert np.isfinite(likeness.of_pairs(tiny, tiny[::-1])).all()
        np.testing.assert_allclose(likeness.of_pairs(tiny, tiny), 1, rtol=1e-6)
