"""Class by class, NMI and α-ReQ: values by hand, and what others compute."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import balanced_accuracy_score, recall_score

from jaxembed.metrics import alpha, clusters, per_class

RANDOM = np.random.default_rng(0)


def test_each_class_counts_the_same():
    labels, predicted = np.array([0, 0, 0, 0, 1, 1, 4]), np.array([0, 0, 0, 1, 1, 0, 2])
    np.testing.assert_allclose(per_class.of_classes(labels, predicted), [0.75, 0.5, 0])
    labels, predicted = RANDOM.integers(0, 5, 300), RANDOM.integers(0, 5, 300)
    accuracies = per_class.of_classes(labels, predicted)
    np.testing.assert_allclose(accuracies, recall_score(labels, predicted, average=None))
    assert accuracies.mean() == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_nmi_is_1_for_perfect_clusters_and_0_for_random_ones():
    labels = np.arange(300) % 3
    apart = 50 * np.eye(3)[labels] + RANDOM.normal(size=(300, 3))
    assert clusters.nmi(apart.astype(np.float32), labels) == pytest.approx(1)
    assert clusters.nmi(apart.astype(np.float32), RANDOM.permutation(labels)) < 0.05
    assert clusters.nmi(np.zeros((300, 3), np.float32), labels) == 0


def test_nmi_equals_that_of_the_contingency_table():
    # Two points, and classes that do not go by them: k-means has no choice.
    points = np.repeat([[0.0, 1.0], [3.0, 0.0]], [6, 4], axis=0).astype(np.float32)
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    joint = np.array([[5, 1], [1, 3]]) / 10
    clustered, classes = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    mutual = clustered + classes - entropy(joint.ravel())
    assert clusters.nmi(points, labels) == pytest.approx(2 * mutual / (clustered + classes))


def spectrum(values: np.ndarray, n: int) -> np.ndarray:
    """Rows whose covariance has exactly these eigenvalues, in a random direction each."""
    d = len(values)
    basis, _ = np.linalg.qr(RANDOM.normal(size=(d, d)))
    rows, _ = np.linalg.qr(RANDOM.normal(size=(n, d)) - 0)
    rows, _ = np.linalg.qr(rows - rows.mean(axis=0))
    return (rows * np.sqrt(n * values)) @ basis.T + 3


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 2.5])
@pytest.mark.parametrize("d", [3, 20, 150])
def test_alpha_is_the_exponent_of_a_power_law(exponent, d):
    embeddings = spectrum(np.arange(1, d + 1.0) ** -exponent, 400)
    assert alpha.alpha(embeddings) == pytest.approx(exponent, abs=2e-3)
    assert alpha.alpha(1e-6 * embeddings) == pytest.approx(exponent, abs=2e-3)


def test_alpha_weighs_ranks_4_to_100_by_their_inverse():
    values = np.sort(RANDOM.uniform(0.1, 5, 130))[::-1]
    ranks = np.arange(4, 101)
    # polyfit multiplies residuals by the weights, before it squares them.
    slope, _ = np.polyfit(np.log(ranks), np.log(values[ranks - 1]), 1, w=ranks**-0.5)
    assert alpha.alpha(spectrum(values, 500)) == pytest.approx(-slope, rel=1e-6)


def test_alpha_is_infinite_if_nothing_varies():
    assert alpha.alpha(np.ones((9, 4), np.float32)) == np.inf
    assert alpha.alpha(np.outer(np.arange(9), [1, 2, 3]).astype(np.float32)) == np.inf
