"""Geometry against scikit-learn, SciPy and plain loops from the papers, its invariances and its limits."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group
from sklearn.metrics import silhouette_score

from jaxembed.kernels import space
from jaxembed.metrics import alignment, geometry, knn, sphere
from jaxembed.metrics import rank as ranks

DISTANCES = ["cosine", "euclidean"]
SIZES = {1: 23, 4: 9, 7: 41, 30: 1}
# What is measured in the space of the distance asked for.
SPATIAL = ("silhouette", "within_distance", "between_distance", "distance_ratio", "cdnv")


def measure(rows: np.ndarray, labels: np.ndarray, *, distance: str) -> dict[str, float]:
    """Everything that is measured on points and labels alone."""
    measured = geometry.measure(rows, labels, distance=distance) | sphere.measure(rows)
    measured["alignment"] = alignment.alignment(rows, labels)
    return measured | {"rankme": ranks.rankme(rows)}


def blobs(offset: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Uneven classes, one of them a single row, in a space that is wider one way than another."""
    random = np.random.default_rng(13)
    labels = random.permutation(np.repeat(list(SIZES), list(SIZES.values())))
    centres = {label: random.normal(size=6) * np.arange(1, 7) for label in SIZES}
    spreads = {label: random.uniform(0.5, 3, 6) for label in SIZES}
    rows = [centres[label] + spreads[label] * random.normal(size=6) + offset for label in labels]
    return np.array(rows, np.float32), labels


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_space(rows: np.ndarray, distance: str) -> np.ndarray:
    return unit(rows) if distance == "cosine" else rows.astype(np.float64)


def cdnv_from_the_paper(rows: np.ndarray, labels: np.ndarray) -> float:
    """Definition 1 of Galanti et al. 2022, over the ordered pairs of different classes."""
    values = []
    for i in set(labels):
        for j in set(labels) - {i}:
            mean_i, mean_j = rows[labels == i].mean(axis=0), rows[labels == j].mean(axis=0)
            variance_i = np.mean([np.sum((row - mean_i) ** 2) for row in rows[labels == i]])
            variance_j = np.mean([np.sum((row - mean_j) ** 2) for row in rows[labels == j]])
            values.append((variance_i + variance_j) / (2 * np.sum((mean_i - mean_j) ** 2)))
    return np.mean(values)


def alignment_from_the_paper(rows: np.ndarray, labels: np.ndarray) -> float:
    """Section 4.1 of Wang & Isola 2020 with alpha = 2, over all pairs of one class."""
    n = len(rows)
    same = [(i, j) for i in range(n) for j in range(n) if i != j and labels[i] == labels[j]]
    return np.mean([np.sum((rows[i] - rows[j]) ** 2) for i, j in same])


def rankme_from_the_paper(rows: np.ndarray) -> float:
    """Eq. (1) of Garrido et al. 2023."""
    values = np.linalg.svd(rows.astype(np.float64), compute_uv=False)
    shares = values / np.abs(values).sum() + 1e-7
    return np.exp(-np.sum(shares * np.log(shares)))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [5, 50])
def test_silhouette_equals_scikit_learns(offset, distance):
    rows, labels = blobs(offset)
    expected = silhouette_score(in_space(rows, distance), labels)
    assert abs(expected) > 0.05
    assert measure(rows, labels, distance=distance)["silhouette"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [5, 50])
def test_distances_within_and_between_classes_equal_scipys(offset, distance):
    rows, labels = blobs(offset)
    distances = pdist(in_space(rows, distance))
    same = np.array([a == b for i, a in enumerate(labels) for b in labels[i + 1 :]])
    within, between = distances[same].mean(), distances[~same].mean()
    measures = measure(rows, labels, distance=distance)
    assert measures["within_distance"] == pytest.approx(within, rel=1e-5)
    assert measures["between_distance"] == pytest.approx(between, rel=1e-5)
    assert measures["distance_ratio"] == pytest.approx(within / between, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [5, 50])
def test_cdnv_follows_the_paper(offset, distance):
    rows, labels = blobs(offset)
    expected = cdnv_from_the_paper(in_space(rows, distance), labels)
    assert measure(rows, labels, distance=distance)["cdnv"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [0, 5, 50])
def test_alignment_and_uniformity_follow_the_paper_for_any_distance(offset, distance):
    rows, labels = blobs(offset)
    measures = measure(rows, labels, distance=distance)
    assert measures["alignment"] == pytest.approx(alignment_from_the_paper(unit(rows), labels), rel=1e-5)
    expected = np.log(np.mean(np.exp(-2 * pdist(unit(rows)) ** 2)))
    assert measures["uniformity"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [0, 5, 50])
def test_rankme_and_dimension_spread_equal_numpys_for_any_distance(offset, distance):
    rows, labels = blobs(offset)
    measures = measure(rows, labels, distance=distance)
    assert measures["rankme"] == pytest.approx(rankme_from_the_paper(rows), rel=1e-5)
    spread = np.sqrt(6) * np.std(unit(rows), axis=0).mean()
    assert measures["dimension_spread"] == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize(("n", "d", "rank"), [(5, 90, 5), (90, 5, 5), (90, 60, 2), (60, 90, 2), (1, 90, 1)])
def test_rankme_of_wide_tall_and_flat_embeddings_follows_the_paper(n, d, rank):
    random = np.random.default_rng(4)
    rows = (random.normal(size=(n, rank)) @ random.normal(size=(rank, d))).astype(np.float32)
    assert ranks.rankme(rows) == pytest.approx(rankme_from_the_paper(rows), rel=1e-5)


def test_rankme_counts_used_dimensions():
    axes = np.eye(8, dtype=np.float32)
    assert ranks.rankme(np.tile(axes, (3, 1))) == pytest.approx(8, rel=1e-5)
    assert ranks.rankme(np.tile(axes[:3], (5, 1))) == pytest.approx(3, rel=1e-4)


def test_directions_that_fill_the_sphere_have_a_spread_of_one_and_the_uniformity_of_right_angles():
    rows = np.random.default_rng(4).normal(size=(400, 300)).astype(np.float32)
    assert sphere.dimension_spread(rows) == pytest.approx(1, abs=0.01)
    assert sphere.uniformity(rows) == pytest.approx(-4, abs=0.05)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("held", [1, 7 * 74, 74 * 74 - 1])
def test_measures_do_not_depend_on_the_chunk_size(held, distance, monkeypatch):
    rows, labels = blobs()
    whole = measure(rows, labels, distance=distance)
    monkeypatch.setattr(space, "HELD", held)
    monkeypatch.setattr(space, "CHUNK", 7)
    assert measure(rows, labels, distance=distance) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_class_numbers_and_row_order_do_not_matter(distance):
    rows, labels = blobs()
    order = np.random.default_rng(1).permutation(len(rows))
    renamed = (100 - labels)[order].astype(np.int32)
    expected = measure(rows, labels, distance=distance)
    assert measure(rows[order], renamed, distance=distance) == pytest.approx(expected, rel=1e-5)


def test_euclidean_geometry_is_invariant_to_translation_and_rotation():
    rows, labels = blobs()
    moved = (rows @ ortho_group.rvs(6, random_state=3) + np.array([30, -20, 7, 0, 12, -40])).astype(np.float32)
    before, after = (measure(each, labels, distance="euclidean") for each in (rows, moved))
    assert [after[name] for name in SPATIAL] == pytest.approx([before[name] for name in SPATIAL], rel=1e-4)
    assert after["rankme"] != pytest.approx(before["rankme"], rel=0.05)


def test_all_measures_except_dimension_spread_are_invariant_to_rotation():
    rows, labels = blobs()
    turned = (rows @ ortho_group.rvs(6, random_state=3)).astype(np.float32)
    before, after = (measure(each, labels, distance="cosine") for each in (rows, turned))
    assert after.pop("dimension_spread") != pytest.approx(before.pop("dimension_spread"), rel=1e-3)
    assert after == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_only_euclidean_distances_depend_on_the_scale(scale):
    rows, labels = blobs()
    expected = measure(rows, labels, distance="euclidean")
    for name in ("within_distance", "between_distance"):
        expected[name] *= scale
    scaled = measure(rows * np.float32(scale), labels, distance="euclidean")
    assert scaled == pytest.approx(expected, rel=1e-4)


def test_on_the_sphere_only_rankme_depends_on_row_lengths():
    rows, labels = blobs()
    lengths = np.geomspace(0.01, 100, len(rows), dtype=np.float32)[:, None]
    before, after = (measure(each, labels, distance="cosine") for each in (rows, rows * lengths))
    assert after.pop("rankme") != pytest.approx(before.pop("rankme"), rel=0.01)
    assert after == pytest.approx(before, rel=1e-4)


def test_classes_of_one_point_each_have_perfect_geometry():
    # Whole numbers, whose distances are exact.
    points = np.random.default_rng(6).integers(-9, 9, (4, 5)).astype(np.float32)
    labels = np.repeat([0, 1, 2, 3], [2, 9, 30, 14])
    measures = measure(points[labels], labels, distance="euclidean")
    perfect = {"silhouette": 1, "within_distance": 0, "distance_ratio": 0, "cdnv": 0, "alignment": 0}
    assert {name: measures[name] for name in perfect} == perfect


def test_classes_of_one_direction_each_have_perfect_geometry_up_to_rounding():
    points = np.random.default_rng(6).normal(size=(4, 5)).astype(np.float32)
    labels = np.repeat([0, 1, 2, 3], [2, 9, 30, 14])
    measures = measure(points[labels], labels, distance="cosine")
    assert measures["silhouette"] == pytest.approx(1, abs=2e-3)
    assert measures["distance_ratio"] == pytest.approx(0, abs=2e-3)
    assert (measures["cdnv"], measures["alignment"]) == (0, 0)


def test_silhouette_is_negative_for_interleaved_classes():
    rows, labels = np.array([0, 10, 0, 10], np.float32)[:, None], np.array([1, 1, 4, 4])
    # Each row is at 10 from the other of its class, and at 0 and 10 from those of the other class.
    assert measure(rows, labels, distance="euclidean")["silhouette"] == pytest.approx(-0.5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("value", "rank"), [(0.0, 0), (0.1, 1)])
def test_collapsed_embedding_has_defined_values(value, rank, distance):
    rows, labels = np.full((60, 7), value, np.float32), np.repeat([1, 4, 7], [30, 10, 20])
    assert measure(rows, labels, distance=distance) == pytest.approx(
        {
            "silhouette": 0,
            "within_distance": 0,
            "between_distance": 0,
            "distance_ratio": 1,
            "cdnv": np.inf,
            "alignment": 0,
            "uniformity": 0,
            "rankme": rank,
            "dimension_spread": 0,
        },
        abs=1e-4,
    )


def test_equal_rows_have_a_spread_of_exactly_zero():
    row = np.random.default_rng(9).normal(size=7).astype(np.float32)
    assert sphere.dimension_spread(np.tile(row, (999, 1))) == 0


def test_cdnv_is_infinite_where_two_of_many_classes_have_one_mean():
    rows = np.array([[0, 0], [4, 0], [1, 0], [3, 0], [9, 9]], np.float32)
    assert geometry.cdnv(rows, np.array([1, 1, 4, 4, 7])) == np.inf


def test_two_rows_of_two_classes_by_hand():
    # At a right angle, 3 and 4 long.
    measures = measure(np.array([[3, 0], [0, 4]], np.float32), np.array([1, 4]), distance="euclidean")
    assert measures == pytest.approx(
        {
            "silhouette": 0,
            "within_distance": 0,
            "between_distance": 5,
            "distance_ratio": 0,
            "cdnv": 0,
            "alignment": 0,
            "uniformity": -4,
            "rankme": np.exp(-(3 / 7 * np.log(3 / 7) + 4 / 7 * np.log(4 / 7))),
            "dimension_spread": np.sqrt(2) / 2,
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("distance", DISTANCES)
def test_classes_of_one_row_each_have_zero_distance_within(distance):
    rows, _ = blobs()
    measures = measure(rows, np.arange(len(rows)) * 3 + 1, distance=distance)
    for name in ("silhouette", "within_distance", "distance_ratio", "cdnv", "alignment"):
        assert measures[name] == 0
    assert measures["between_distance"] == pytest.approx(pdist(in_space(rows, distance)).mean(), rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [0, 50])
def test_no_measure_is_nan_where_rows_are_zero_or_equal_across_classes(offset, distance):
    rows, labels = blobs(offset)
    rows[[2, 11, 40]] = 0
    rows[:9] = rows[60:69]
    assert np.isfinite(list(measure(rows, labels, distance=distance).values())).all()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("n", [1, 5])
def test_one_class_is_refused(n, distance):
    with pytest.raises(ValueError, match="at least 2, got 1"):
        measure(np.eye(n, 3, dtype=np.float32), np.full(n, 4), distance=distance)


def test_one_row_has_no_uniformity():
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        sphere.uniformity(np.ones((1, 3), np.float32))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_named(value, distance):
    rows, labels = blobs()
    rows[12, 2] = value
    with pytest.raises(ValueError, match="row 12"):
        measure(rows, labels, distance=distance)


def test_memory_does_not_grow_with_rows_times_classes(monkeypatch):
    n, k = 3000, 1500
    monkeypatch.setattr(space, "HELD", 2**16)
    random = np.random.default_rng(7)
    labels = random.permutation(n) % k
    rows = (random.normal(size=(k, 4))[labels] + random.normal(size=(n, 4))).astype(np.float32)
    geometry.measure(rows[:200], labels[:200] % 3, distance="euclidean")
    tracemalloc.start()
    measure(rows, labels, distance="euclidean")
    knn.classify(rows, labels, rows, neighbours=5, distance="euclidean")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # An array of a bool for each row and class.
    assert peak < n * k


def test_measures_of_many_classes_equal_scikit_learns_and_the_papers(monkeypatch):
    monkeypatch.setattr(space, "HELD", 1000)
    random = np.random.default_rng(8)
    labels = np.concatenate([np.arange(70), random.integers(0, 70, 80)])
    rows = (random.normal(size=(70, 5))[labels] + random.normal(size=(150, 5))).astype(np.float32)
    measures = measure(rows, labels, distance="euclidean")
    assert measures["silhouette"] == pytest.approx(silhouette_score(rows, labels), abs=1e-6)
    assert measures["cdnv"] == pytest.approx(cdnv_from_the_paper(rows.astype(np.float64), labels), rel=1e-6)
