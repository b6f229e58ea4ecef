"""Duplicates, labels, outliers: what is planted is found, and others agree."""

import numpy as np
import pytest
from cleanlab.rank import get_self_confidence_for_each_label
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from jaxembed import datasets
from jaxembed.artifacts import diagnosis
from jaxembed.doctor import duplicates, examination, labels
from jaxembed.kernels import nearest, outliers
from jaxembed.types import Batch, Dataset, Published

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(90, 4)).astype(np.float32)


def test_nearest_other_rows_equal_scikit_learns():
    found, apart = nearest.others(POINTS, neighbours=5)
    distances, rows = NearestNeighbors(n_neighbors=6).fit(POINTS).kneighbors(POINTS)
    np.testing.assert_array_equal(found, rows[:, 1:])
    np.testing.assert_allclose(apart, distances[:, 1:], rtol=1e-5)


def test_copies_are_at_distance_0_and_no_row_is_its_own_neighbour():
    points = np.concatenate([POINTS, POINTS[:1], POINTS[:1]])
    found, apart = nearest.others(points, neighbours=2)
    assert set(found[0]) == {90, 91}
    assert set(found[90]) == {0, 91}
    np.testing.assert_array_equal(apart[[0, 90, 91]], 0)
    assert not (found == np.arange(92)[:, None]).any()


def test_pairs_within_a_part_are_ranked_relative_to_their_surroundings_and_each_once():
    points = np.array([[0.0], [1], [3], [7], [7.5], [20], [26]], np.float32)
    found, apart = nearest.others(points, neighbours=2)
    pairs = duplicates.within(found, apart, np.zeros(7, int))
    # 7 and 7.5: 0.5, compared with 4.0 (from 7) and 4.5 (from 7.5, which ranks higher).
    assert pairs.rows[0].tolist() == [4, 3]
    assert pairs.relative[0] == pytest.approx(0.5 / 4.5)
    assert len({tuple(sorted(pair)) for pair in pairs.rows.tolist()}) == len(pairs.rows)
    assert (np.diff(pairs.relative) >= 0).all()
    # The nearest of row 5 is in another part.
    parts = np.array([0, 0, 0, 1, 1, 0, 2])
    assert duplicates.within(found, apart, parts).rows.tolist() == [[4, 3], [0, 1], [2, 1]]


def test_pairs_across_parts_join_a_row_and_the_nearest_row_of_earlier_parts():
    points = np.concatenate([POINTS[:60], POINTS[:3] + 1e-3, POINTS[60:], POINTS[61:62] + 1e-4])
    parts = np.repeat([0, 1, 2], [60, 33, 1])
    pairs = duplicates.across(points, parts, neighbours=4)
    assert pairs.rows[:4].tolist() == [[93, 64], [60, 0], [61, 1], [62, 2]] or {
        tuple(pair) for pair in pairs.rows[:4].tolist()
    } == {(93, 64), (60, 0), (61, 1), (62, 2)}
    assert (parts[pairs.rows[:, 0]] > parts[pairs.rows[:, 1]]).all()
    assert len(duplicates.across(points, np.zeros(94, int), neighbours=4).rows) == 0


def test_a_pair_without_surroundings_is_no_copy():
    points = np.array([[0.0], [5], [7]], np.float32)
    assert duplicates.across(points, np.array([0, 1, 1]), neighbours=1).relative.tolist() == [1, 1]


def test_pixel_comparison_ranks_copies_before_near_neighbours():
    images = RANDOM.integers(0, 256, (6, 9, 9, 1), np.uint8)
    images[5] = np.roll(images[2], 1, axis=1)
    rows = np.array([[0, 1], [3, 4], [5, 2]])
    given = duplicates.Pairs(rows, np.array([0.1, 0.2, 0.3], np.float32), np.array([0.1, 0.2, 0.3], np.float32))
    ranked, alike = duplicates.by_pixels(given, lambda chosen: images[chosen])
    assert ranked.rows[0].tolist() == [5, 2]
    assert alike[0] == pytest.approx(1)
    assert ranked.distances[0] == pytest.approx(0.3)
    assert (np.diff(alike) <= 0).all()


def blobs(n: int, spread: float = 1.0):
    truth = np.arange(n) % 3
    return (4 * np.eye(3, 5)[truth] + spread * RANDOM.normal(size=(n, 5))).astype(np.float32), truth


def test_confidence_equals_cleanlabs_on_scikit_learns_out_of_fold_probabilities():
    points, truth = blobs(200, spread=3)
    folds = np.empty(200, int)
    folds[np.random.default_rng(0).permutation(200)] = np.arange(200) % labels.FOLDS
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=1e-3)
    split = PredefinedSplit(folds)
    probabilities = cross_val_predict(classifier, points, truth, cv=split, method="predict_proba")
    confidence, proposed = labels.out_of_fold(points, truth)
    np.testing.assert_allclose(confidence, get_self_confidence_for_each_label(truth, probabilities), rtol=1e-4)
    np.testing.assert_array_equal(proposed, probabilities.argmax(axis=1))


def test_a_class_with_one_row_does_not_end_the_examination():
    points, truth = blobs(31)
    truth[7] = 9
    confidence, proposed = labels.out_of_fold(points, truth)
    assert confidence[7] == 0
    assert proposed[7] == 7 % 3
    lone = np.zeros(31, int)
    lone[7] = 1
    confidence, proposed = labels.out_of_fold(points, lone)
    assert (confidence[7], proposed[7]) == (0, 0)
    assert np.isfinite(confidence).all()


def test_wrong_labels_have_the_least_support():
    points, truth = blobs(300)
    given, wrong = truth.copy(), RANDOM.choice(300, 15, replace=False)
    given[wrong] = (truth[wrong] + 1) % 3
    found, _ = nearest.others(points, neighbours=10)
    verdict = labels.judge(points, given, found)
    assert set(np.argsort(verdict.support)[:15]) == set(wrong)
    np.testing.assert_array_equal(verdict.proposed[wrong], truth[wrong])
    agreement = np.mean(given[found] == given[:, None], axis=1)
    np.testing.assert_array_equal(verdict.agreement, agreement)
    np.testing.assert_allclose(verdict.support, (verdict.confidence + agreement) / 2)


def test_an_outlier_is_far_from_its_neighbours():
    points = POINTS.copy()
    points[7] = 30
    remoteness = outliers.remoteness(nearest.others(points, neighbours=3)[1])
    assert remoteness.argmax() == 7
    assert outliers.remoteness(np.array([[1.0, 2.0, 6.0]]))[0] == 3


def small(n: int = 80, m: int = 40):
    """A dataset of images whose embedding is known: train, and a test split with a copy and a wrong label."""
    points, truth = blobs(n + m)
    images = RANDOM.integers(0, 256, (n + m, 9, 7, 1), np.uint8)
    points[n + 3], images[n + 3] = points[11], images[11]
    given = truth.astype(np.int32)
    given[n + 3] = given[11]
    given[20] = (truth[20] + 1) % 3
    points[33, truth[33]] = 60  # remote, in the direction of its class: its label isn't suspicious
    train, test = (Batch(images[rows], given[rows]) for rows in (slice(n), slice(n, None)))
    dataset = Dataset(
        "small",
        ("low", "middle", "high"),
        train,
        None,
        test,
        names={"test": np.array([f"{i}.png" for i in range(m)])},
    )
    return dataset, {"train": points[:n], "test": points[n:]}


def test_planted_errors_of_a_dataset_are_found_by_name():
    dataset, embeddings = small()
    found = examination.examine(dataset, embeddings, distance="euclidean")
    assert list(found.tables) == ["leaks", "duplicates", "labels", "outliers"]
    assert found.examined == (120, 120)
    leaks, suspects = found.tables["leaks"], found.tables["labels"]
    assert leaks.names[0].tolist() == ["3.png (test)", "train/11"]
    assert leaks.scores["likeness"][0] == pytest.approx(1)
    assert leaks.scores["distance"][0] == 0
    np.testing.assert_array_equal(leaks.images[0, 0], leaks.images[0, 1])
    np.testing.assert_array_equal(leaks.images[0, 1], dataset.train.images[11])
    assert suspects.names[0].tolist() == ["train/20"]
    assert (suspects.labels[0, 0], suspects.proposed[0]) == (dataset.train.labels[20], 20 % 3)
    assert found.tables["outliers"].names[0].tolist() == ["train/33"]
    assert len(leaks.images) == examination.SHOWN < len(leaks.names)


def test_validation_images_are_named_as_such_though_they_were_published_as_train_images():
    dataset, embeddings = small()
    published = Published(dataset.classes, dataset.train, dataset.test)
    divided = datasets.divided(published, seed=0, validation=30.0)
    rows = [int(name.partition("/")[2]) for name in divided.names["validation"]]
    kept = np.delete(np.arange(80), rows)
    points = {
        "train": embeddings["train"][kept],
        "validation": embeddings["train"][rows],
        "test": embeddings["test"],
    }
    found = examination.examine(divided, points, distance="euclidean")
    named = {f"train/{row}": f"train/{row} (validation)" if row in rows else f"train/{row}" for row in range(80)}
    names = set(found.tables["outliers"].names.ravel())
    assert names == {*named.values(), *(f"test/{row}" for row in range(40))}
    splits = [
        {name.partition("(")[2] or name.partition("/")[0] for name in pair} for pair in found.tables["leaks"].names
    ]
    assert all(len(pair) == 2 for pair in splits)


def test_without_images_or_labels_only_tables_that_need_neither_are_made():
    dataset, embeddings = small()
    bare = [
        split._replace(images=None, labels=np.full_like(split.labels, -1))
        for split in (dataset.train, dataset.test)
    ]
    dataset = dataset._replace(classes=(), train=bare[0], test=bare[1])
    found = examination.examine(dataset, embeddings, distance="cosine")
    assert list(found.tables) == ["leaks", "duplicates", "outliers"]
    assert all(table.images is None and (table.labels == -1).all() for table in found.tables.values())
    assert np.isnan(found.tables["leaks"].scores["likeness"]).all()


def test_random_subset_of_many_images_is_examined(monkeypatch):
    monkeypatch.setattr(examination, "MOST", 50)
    dataset, embeddings = small()
    found = examination.examine(dataset, embeddings, distance="euclidean")
    assert found.examined == (50, 120)
    assert len(found.tables["outliers"].names) == 50


@pytest.mark.parametrize(
    "points", [np.zeros((120, 5)), np.outer(np.arange(120.0), np.ones(5)), np.full((120, 5), 1e14)]
)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_a_collapsed_embedding_is_examined_as_well(points, distance):
    dataset, _ = small()
    points = points.astype(np.float32)
    found = examination.examine(dataset, {"train": points[:80], "test": points[80:]}, distance=distance)
    for table in found.tables.values():
        assert all(np.isfinite(values).all() for values in table.scores.values())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_tables_that_need_more_images_are_left_out_for_few_images(n):
    dataset, embeddings = small()
    rows = slice(n)
    dataset = dataset._replace(train=Batch(*(array[rows] for array in dataset.train)), test=None)
    found = examination.examine(dataset, {"train": embeddings["train"][rows]}, distance="euclidean")
    assert ("outliers" in found.tables) == (n > 2)
    assert "leaks" not in found.tables


def test_how_many_labels_a_classifier_finds_is_kept_with_the_tables(tmp_path):
    points, truth = blobs(90)
    wrong = truth.copy()
    wrong[:9] = (truth[:9] + 1) % 3
    dataset = Dataset("blobs", ("a", "b", "c"), Batch(None, wrong.astype(np.int32)), None, None)
    found = examination.examine(dataset, {"train": points}, distance="euclidean")
    assert found.known == pytest.approx(0.9, abs=0.03)
    diagnosis.write(found, tmp_path)
    assert diagnosis.read(tmp_path).known == pytest.approx(found.known)
    unlabelled = dataset._replace(train=Batch(None, np.full(90, -1, np.int32)))
    assert np.isnan(examination.examine(unlabelled, {"train": points}, distance="euclidean").known)


def test_the_classifier_finds_classes_in_as_many_dimensions_as_there_are_rows():
    truth = np.arange(100) % 3
    points = 3 * np.eye(3, 80)[truth] + np.random.default_rng(3).normal(size=(100, 80))
    _, proposed = labels.out_of_fold(points.astype(np.float32), truth)
    assert np.mean(proposed == truth) > 0.85
