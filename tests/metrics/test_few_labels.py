"""Few labels: the draws, and accuracies whose value is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from jaxembed.metrics import Rows, few_labels

RANDOM = np.random.default_rng(0)


def measured(points, labels, test_points, test_labels, distance="euclidean"):
    train, test = (
        Rows(rows.astype(np.float32), each.astype(np.int32), int(labels.max()) + 1)
        for rows, each in ((points, labels), (test_points, test_labels))
    )
    return few_labels.fit(train, neighbours=10, distance=distance)(test).numbers


def test_draw_has_equally_many_rows_per_class_and_contains_smaller_draws():
    labels = RANDOM.permutation(np.repeat([0, 1, 5], [120, 300, 150]))
    for one, ten in zip(few_labels.draws(labels, 1), few_labels.draws(labels, 10), strict=True):
        np.testing.assert_array_equal(np.bincount(labels[ten]), [10, 10, 0, 0, 0, 10])
        assert set(one) <= set(ten)
        assert len(set(ten)) == 30
    assert len({tuple(rows) for rows in few_labels.draws(labels, 10)}) == few_labels.DRAWS
    np.testing.assert_array_equal(few_labels.draws(labels, 10), few_labels.draws(labels.copy(), 10))


def test_counts_beyond_a_class_or_the_limit_are_left_out(monkeypatch):
    labels = np.repeat([0, 1], [9, 200])
    assert few_labels.draws(labels, 10) == []
    assert len(few_labels.draws(labels, 9)) == few_labels.DRAWS
    monkeypatch.setattr(few_labels, "MOST", 17)
    assert few_labels.draws(labels, 9) == []
    numbers = measured(RANDOM.normal(size=(209, 3)), labels, RANDOM.normal(size=(40, 3)), np.arange(40) % 2)
    assert set(numbers) == {
        f"{name}_accuracy_1_label{end}" for name in few_labels.CLASSIFIERS for end in ("", "_sd")
    }


def test_random_vectors_score_at_chance_and_one_hot_labels_100_per_cent():
    labels, test_labels = np.arange(2000) % 4, np.arange(1000) % 4
    numbers = measured(RANDOM.normal(size=(2000, 8)), labels, RANDOM.normal(size=(1000, 8)), test_labels)
    error = np.sqrt(0.25 * 0.75 / 1000)
    means = {name: value for name, value in numbers.items() if not name.endswith("_sd")}
    assert len(means) == 6
    assert all(abs(value - 0.25) < 3 * error for value in means.values()), means
    numbers = measured(np.eye(4)[labels], labels, np.eye(4)[test_labels], test_labels, "cosine")
    assert {value for name, value in numbers.items() if not name.endswith("_sd")} == {1.0}
    assert {value for name, value in numbers.items() if name.endswith("_sd")} == {0.0}


def test_more_labels_are_better_and_the_same_ones_give_the_same_numbers():
    labels, test_labels = np.arange(1500) % 5, np.arange(500) % 5
    points, test = (2 * np.eye(6)[each] + RANDOM.normal(size=(len(each), 6)) for each in (labels, test_labels))
    numbers = measured(points, labels, test, test_labels)
    for name in few_labels.CLASSIFIERS:
        means = [numbers[few_labels.metric(name, count)] for count in few_labels.COUNTS]
        assert means == sorted(means)
        assert means[2] > means[0] + 0.1
        assert numbers[f"{few_labels.metric(name, 1)}_sd"] > numbers[f"{few_labels.metric(name, 100)}_sd"]
    assert numbers == measured(points, labels, test, test_labels)


def test_deviation_is_taken_over_the_draws(monkeypatch):
    monkeypatch.setattr(few_labels, "COUNTS", (1,))
    accuracies = iter([0.5, 0.7, 0.6, 0.9, 0.8])
    monkeypatch.setattr(few_labels, "_nearest", lambda *_: lambda rows: np.arange(10) >= 10 * next(accuracies))
    labels = np.arange(20) % 2
    numbers = measured(RANDOM.normal(size=(20, 2)), labels, RANDOM.normal(size=(10, 2)), np.zeros(10))
    assert numbers["knn_accuracy_1_label"] == pytest.approx(0.7)
    assert numbers["knn_accuracy_1_label_sd"] == pytest.approx(0.158113883)


def test_linear_classifiers_are_trained_in_one_thread(monkeypatch):
    threads, fit = set(), LogisticRegression.fit

    def watched(self, *arguments):
        threads.update(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
        return fit(self, *arguments)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    with threadpool_limits(2, user_api="blas"):  # also on one core
        measured(np.eye(2).repeat(9, axis=0), np.repeat([0, 1], 9), np.eye(2), np.arange(2))
    assert threads == {1}
