"""kNN, by the distance of the embedding and by the cosine."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from jaxembed.metrics import Rows, knn, knn_cosine

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_knn_is_measured_by_the_distance_of_the_embedding_and_by_the_cosine(distance):
    # The class is in the length for one half, which the cosine does not see, and in the angle for the other.
    points = RANDOM.normal(size=(600, 3)).astype(np.float32) * RANDOM.uniform(0.5, 3, (600, 1)).astype(np.float32)
    labels = np.where(np.arange(600) % 2, np.linalg.norm(points, axis=1) > 2, points[:, 0] > 0).astype(int)
    train, test = (Rows(points[part], labels[part], 2) for part in (slice(400), slice(400, 600)))
    theirs = {each: KNeighborsClassifier(5, metric=each) for each in ("euclidean", "cosine")}
    scores = {each: k.fit(train.points, train.labels).score(test.points, test.labels) for each, k in theirs.items()}
    assert abs(scores["euclidean"] - scores["cosine"]) > 0.02
    measured = knn.fit(train, neighbours=5, distance=distance)(test)
    assert measured.numbers == {"knn_accuracy": scores[distance]}
    test = test._replace(predictions=measured.predictions)
    own = knn_cosine.fit(train, neighbours=5, distance=distance)(test)
    assert own.numbers == {"knn_cosine_accuracy": scores["cosine"]}
