"""Retrieval against its definition one query at a time, by hand, and where there is nothing to find."""

import numpy as np
import pytest

from jaxembed.kernels import space
from jaxembed.metrics import retrieval

DISTANCES = ["cosine", "euclidean"]
# Few classes with many rows, and many classes with fewer rows than the k of recall@k.
UNEVEN = {"large": {1: 41, 4: 13, 7: 25, 30: 1}, "small": dict(zip(range(3, 63, 4), [2, 3, 5] * 5, strict=True))}


def blobs(sizes: dict[int, int], offset: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(60)
    labels = random.permutation(np.repeat(list(sizes), list(sizes.values())))
    centres = {label: random.normal(size=6) * np.arange(1, 7) for label in sizes}
    noise = random.normal(size=(len(labels), 6)) * np.array([2, 4, 2, 6, 2, 4])
    return (np.stack([centres[label] for label in labels]) + noise + offset).astype(np.float32), labels


def by_definition(rows: np.ndarray, labels: np.ndarray, distance: str) -> dict[str, float]:
    """Recall@k, and MAP@R of Musgrave et al. 2020, section 3.2, one query at a time in float64."""
    rows = rows.astype(np.float64)
    if distance == "cosine":
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    recalls, precisions = {1: [], 5: [], 10: []}, []
    for query, label in enumerate(labels):
        others = [i for i in range(len(rows)) if i != query]
        relevant = sum(labels[i] == label for i in others)
        if relevant == 0:
            continue
        # Of rows that are equally near, the wrong ones first.
        others.sort(key=lambda i: (np.sum((rows[i] - rows[query]) ** 2), labels[i] == label))
        for k, found in recalls.items():
            found.append(any(labels[i] == label for i in others[:k]))
        total = 0.0
        for place in range(1, relevant + 1):
            if labels[others[place - 1]] == label:
                total += sum(labels[i] == label for i in others[:place]) / place
        precisions.append(total / relevant)
    expected = {f"recall_at_{k}": np.mean(found) for k, found in recalls.items()}
    return expected | {"map_at_r": np.mean(precisions)}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("offset", [5, 50])
@pytest.mark.parametrize("sizes", UNEVEN.values(), ids=UNEVEN)
def test_retrieval_follows_the_definition(sizes, offset, distance):
    rows, labels = blobs(sizes, offset)
    expected = by_definition(rows, labels, distance)
    assert expected["recall_at_1"] < expected["recall_at_5"] < 1
    assert retrieval.measure(rows, labels, distance=distance) == pytest.approx(expected, abs=1e-5)


def test_retrieval_by_hand():
    # On a line. Class 4 wants two rows: right, wrong from 0 and 1, wrong, right from 7. Class 9 wants one.
    rows = np.array([0, 1, 3, 7, 15], np.float32)[:, None]
    labels = np.array([4, 4, 9, 4, 9])
    assert retrieval.measure(rows, labels, distance="euclidean") == pytest.approx(
        {"recall_at_1": 2 / 5, "recall_at_5": 1, "recall_at_10": 1, "map_at_r": (1 / 2 + 1 / 2 + 1 / 4) / 5}
    )


def test_equal_distances_follow_the_definition_where_wrong_rows_come_first():
    random = np.random.default_rng(3)
    # Whole numbers round a whole mean, whose distances are exact, and so few that most rows lie on others.
    half, labels = random.integers(0, 4, (40, 2)), random.choice([1, 4, 4, 7], 80)
    rows = np.concatenate([half + 20, 26 - half]).astype(np.float32)
    expected = by_definition(rows, labels, "euclidean")
    assert 0 < expected["map_at_r"] < expected["recall_at_5"] < 1
    assert retrieval.measure(rows, labels, distance="euclidean") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_other_class_at_the_same_point_is_ranked_first(distance):
    rows = np.array([[3, 4], [3, 4], [3, 4], [4, -3]], np.float32)
    measures = retrieval.measure(rows, np.array([1, 2, 1, 2]), distance=distance)
    assert measures == {"recall_at_1": 0, "recall_at_5": 1, "recall_at_10": 1, "map_at_r": 0}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_collapsed_embedding_has_no_retrieval(value, distance):
    rows, labels = np.full((60, 7), value, np.float32), np.repeat([1, 4, 7], [30, 10, 20])
    assert set(retrieval.measure(rows, labels, distance=distance).values()) == {0}


@pytest.mark.parametrize("distance", DISTANCES)
def test_classes_of_one_point_each_are_retrieved_completely(distance):
    points = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32) + 5
    labels = np.repeat([0, 1, 2, 3], [2, 9, 30, 14])
    assert set(retrieval.measure(points[labels], labels, distance=distance).values()) == {1}


@pytest.mark.parametrize("held", [1, 7 * 80, 80 * 80 - 1])
@pytest.mark.parametrize("distance", DISTANCES)
def test_retrieval_does_not_depend_on_the_chunk_size(distance, held, monkeypatch):
    rows, labels = blobs(UNEVEN["large"], offset=5)
    whole = retrieval.measure(rows, labels, distance=distance)
    monkeypatch.setattr(space, "HELD", held)
    assert retrieval.measure(rows, labels, distance=distance) == pytest.approx(whole, abs=1e-9)


def test_only_row_of_a_class_is_no_query_but_can_be_retrieved():
    rows, labels = np.array([0, 2, 50], np.float32)[:, None], np.array([4, 4, 9])
    apart = retrieval.measure(rows, labels, distance="euclidean")
    rows[2] = 1
    between = retrieval.measure(rows, labels, distance="euclidean")
    assert (apart["recall_at_1"], apart["map_at_r"]) == (1, 1)
    assert (between["recall_at_1"], between["map_at_r"]) == (0, 0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_two_rows_of_one_class_find_each_other(distance):
    rows = np.array([[1, 2], [-3, 1]], np.float32)
    assert set(retrieval.measure(rows, np.array([6, 6]), distance=distance).values()) == {1}


def test_with_fewer_rows_than_k_all_others_count_as_nearest():
    rows, labels = np.array([0, 2, 3, 10], np.float32)[:, None], np.array([1, 2, 2, 1])
    measures = retrieval.measure(rows, labels, distance="euclidean")
    assert measures == {"recall_at_1": 1 / 2, "recall_at_5": 1, "recall_at_10": 1, "map_at_r": 1 / 2}


@pytest.mark.parametrize("distance", DISTANCES)
def test_zero_row_is_a_candidate_like_any_other(distance):
    rows, labels = blobs(UNEVEN["large"], offset=5)
    rows[labels == 30] = 0
    expected = by_definition(rows, labels, distance)
    assert retrieval.measure(rows, labels, distance=distance) == pytest.approx(expected, abs=1e-5)


def test_cosine_retrieval_does_not_depend_on_row_lengths():
    rows, labels = blobs(UNEVEN["small"], offset=5)
    lengths = np.geomspace(0.01, 100, len(rows), dtype=np.float32)[:, None]
    expected = retrieval.measure(rows, labels, distance="cosine")
    assert retrieval.measure(rows * lengths, labels, distance="cosine") == pytest.approx(expected, abs=1e-9)
    assert retrieval.measure(rows * lengths, labels, distance="euclidean") != pytest.approx(expected, abs=0.01)


def test_class_numbers_and_row_order_do_not_matter():
    rows, labels = blobs(UNEVEN["small"], offset=5)
    order = np.random.default_rng(1).permutation(len(rows))
    renamed = (1000 - labels)[order].astype(np.int64)
    expected = retrieval.measure(rows, labels.astype(np.int32), distance="euclidean")
    assert retrieval.measure(rows[order], renamed, distance="euclidean") == pytest.approx(expected, abs=1e-9)


def test_a_query_is_needed():
    with pytest.raises(ValueError, match="two rows in the same class"):
        retrieval.measure(np.eye(4, dtype=np.float32), np.array([1, 4, 7, 9]), distance="cosine")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_row_that_is_not_finite_is_named(distance, value):
    rows, labels = blobs(UNEVEN["large"], offset=5)
    rows[12, 2] = value
    with pytest.raises(ValueError, match="row 12"):
        retrieval.measure(rows, labels, distance=distance)
