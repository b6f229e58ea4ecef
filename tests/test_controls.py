"""Every control in the folder keeps the contract, and does what its source says."""

import numpy as np
import pytest
from conftest import tiny

from jaxembed import controls
from jaxembed.controls import histogram, patches, untrained
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.evaluate import forward
from jaxembed.run import build
from jaxembed.train import start
from jaxembed.types import Batch, Dataset

RANDOM = np.random.default_rng(0)
NAMES = controls.names()
SHAPES = [(8, 8, 1), (9, 7, 3)]


@pytest.fixture(autouse=True)
def few_patches(monkeypatch):
    monkeypatch.setattr(patches, "DRAWN", 300)


def images(n: int, shape: tuple[int, int, int] = (9, 7, 3)) -> np.ndarray:
    return RANDOM.integers(0, 256, (n, *shape), np.uint8)


def fitted(name: str, train: np.ndarray, **given) -> controls.Embed:
    module = options.find(controls, name, what="a control")
    return controls.fit(controls.section(name, module.SMALLEST | given), train, seed=3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_control_maps_images_to_rows_that_depend_on_the_image_and_the_seed_only(name, shape):
    train, new = images(40, shape), images(5, shape)
    before = train.copy()
    rows = fitted(name, train)(new)
    assert rows.dtype == np.float32
    assert (rows.ndim, len(rows)) == (2, 5)
    assert np.isfinite(rows).all()
    assert len(np.unique(rows.round(6), axis=0)) == 5
    np.testing.assert_array_equal(fitted(name, train)(new), rows)
    np.testing.assert_allclose(fitted(name, train)(new[2:3]), rows[2:3], atol=1e-4)
    np.testing.assert_array_equal(train, before)


@pytest.mark.parametrize("name", NAMES)
def test_constant_images_get_finite_vectors(name):
    flat = np.full((20, 8, 8, 3), 7, np.uint8)
    assert np.isfinite(fitted(name, images(20, (8, 8, 3)))(flat)).all()
    # And where nothing else was there to learn from.
    varied = fitted(name, flat)(images(4, (8, 8, 3)))
    assert np.isfinite(varied).all()
    assert np.abs(varied).max() < 1e6


def test_pca_equals_a_singular_value_decomposition():
    train, new = images(60, (4, 4, 1)), images(7, (4, 4, 1))
    rows, others = (each.reshape(len(each), -1) / 255 for each in (train, new))
    _, values, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = (others - rows.mean(0)) @ axes[:5].T / (values[:5] / np.sqrt(59))
    embed = fitted("pca", train, components=5)
    np.testing.assert_allclose(np.abs(embed(new)), np.abs(expected), atol=1e-4)
    np.testing.assert_allclose(np.cov(embed(train), rowvar=False), np.eye(5), atol=1e-4)


def test_pca_ignores_pixels_that_never_change_in_train():
    train = images(60, (4, 4, 1))
    train[:, 0] = 0
    new = np.concatenate([train[:1], train[:1]])
    new[1, 0, 0] = 255
    assert np.abs(fitted("pca", train, components=16)(new)).max() < 10


def test_patches_code_images_as_the_paper_says():
    """One patch after the other, in float64, with the authors' constants."""
    train, new = images(30), images(3)
    embed = fitted("patches", train, centres=6, side=4)
    book = embed.args[0]
    expected = np.zeros((3, 2, 2, 6))
    for row, top, left in np.ndindex(3, 6, 4):  # of 9 − 4 + 1 and 7 − 4 + 1 positions
        patch = new[row, top : top + 4, left : left + 4].astype(float).ravel()
        patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10)
        distances = np.linalg.norm((patch - book.mean[0]) @ book.whitening - book.centres, axis=1)
        expected[row, top // 3, left // 2] += np.maximum(distances.mean() - distances, 0)
    np.testing.assert_allclose(embed(new), expected.reshape(3, -1), rtol=1e-3, atol=1e-3)


def test_the_codebook_whitens_and_its_centres_are_means():
    drawn = images(500, (2, 2, 3)).reshape(500, 12).astype(np.float32)
    book = patches.learned(drawn, 4, 0)
    normal = (drawn - drawn.mean(1, keepdims=True)) / np.sqrt(drawn.var(1, ddof=1, keepdims=True) + 10)
    np.testing.assert_allclose(book.mean[0], normal.mean(0), atol=1e-5)
    covariance = np.cov(normal, rowvar=False)
    # W (C + 0.1) W = 1 has one symmetric positive solution: ZCA's.
    np.testing.assert_allclose(book.whitening, book.whitening.T, atol=1e-5)
    np.testing.assert_allclose(
        book.whitening @ (covariance + 0.1 * np.eye(12)) @ book.whitening, np.eye(12), atol=1e-3
    )
    white = (normal - book.mean) @ book.whitening
    nearest = np.linalg.norm(white[:, None] - book.centres[None], axis=2).argmin(1)
    means = np.stack([white[nearest == centre].mean(0) for centre in range(4)])
    np.testing.assert_allclose(book.centres, means, atol=0.05)


def test_a_histogram_counts_colours_wherever_they_are():
    two = np.zeros((1, 2, 2, 3), np.uint8)
    two[0, :, 1] = (255, 0, 200)
    rows = histogram.counted(2, np.concatenate([two, two[:, :, ::-1]]))
    expected = np.zeros(8)
    expected[[0, 0b101]] = np.sqrt(0.5)
    np.testing.assert_allclose(rows, [expected, expected], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(histogram.counted(8, images(4, (5, 5, 1))), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_untrained_is_the_run_at_step_0(dtype):
    """With the one encoder whose first weights are made from train images."""
    config = tiny()
    encoder = {"name": "cnn", "widths": (8, 8), "depth": 1, "stem": "whitened", "latent": 6, "dropout": 0.0}
    config.encoder = encoder
    config.train.dtype = dtype
    train = images(300, (12, 12, 3))
    split = Batch(train, (np.arange(300) % 3).astype(np.int32))
    parts = build.run(config, dataset := Dataset("x", ("a", "b", "c"), split, None, split))
    state = start.initial(parts, dataset, seed=5)
    embed = untrained.fit(train, 5, encoder=encoder, dtype=dtype)
    np.testing.assert_allclose(embed(train[:9]), forward.embed(parts, state, train[:9]), rtol=1e-5, atol=1e-6)
    assert not np.allclose(embed(train[:9]), untrained.fit(train, 6, encoder=encoder, dtype=dtype)(train[:9]))


@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("patch", {}, r"a control must be one of histogram, patches, .*; got 'patch' \(did you mean 'patches'\?\)"),
        (
            "patches",
            {"centers": 5},
            r"patches has no option 'centers' \(did you mean 'centres'\?\); it takes: centres",
        ),
        (
            "patches",
            {"centres": 9999},
            "patches.centres must be at most 80, the patches that are drawn, got 9999",
        ),
        ("patches", {"side": 7}, "patches.side must be less than the images' 7 pixels, got 7"),
        ("pca", {"components": 10}, "pca.components must be at most 9, for 10 train images of 189 pixels, got 10"),
        ("pca", {"components": 2.5}, "pca.components must be a whole number, got 2.5"),
        ("histogram", {"bins": 1}, r"histogram.bins must be in \[2, 16\], got 1"),
        ("pixels", {"bins": 1}, "pixels has no option 'bins'; it takes: none"),
        ("untrained", {}, "untrained lacks encoder, dtype; got nothing"),
    ],
)
def test_what_a_control_cannot_use_is_one_line(name, given, error):
    with pytest.raises(InputError, match=error):
        controls.fit(controls.section(name, given), images(10), seed=0)


def test_the_options_that_are_not_given_are_recorded_too():
    assert controls.section("patches", {"centres": 50}) == {"name": "patches", "centres": 50, "side": 6}
