"""kNN, by the distance of the embedding and by the cosine."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from jaxembed.metrics import Rows, knn

RANDOM = np.random.default_rng(0)


def test_knn_is_measured_by_the_distance_of_the_embedding_and_by_the_cosine():
    # The class is in the length for one half, which the cosine does not see, and in the angle for the other.
    points = RANDOM.normal(size=(600, 3)).astype(np.float32) * RANDOM.uniform(0.5, 3, (600, 1)).astype(np.float32)
    labels = np.where(np.arange(600) % 2, np.linalg.norm(points, axis=1) > 2, points[:, 0] > 0).astype(int)
    train, test = (Rows(points[part], labels[part], 2) for part in (slice(400), slice(400, 600)))
    for distance in ("euclidean", "cosine"):
        measured = knn.fit(train, neighbours=5, distance=distance)(test)
        expected = {}
        for name, each in (("knn_accuracy", distance), ("knn_cosine_accuracy", "cosine")):
            theirs = KNeighborsClassifier(5, metric=each).fit(train.points, train.labels)
            expected[name] = theirs.score(test.points, test.labels)
        assert measured.numbers == expected
    assert expected["knn_accuracy"] == expected["knn_cosine_accuracy"]
