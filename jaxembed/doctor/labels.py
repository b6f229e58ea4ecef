"""Suspicious labels: those that neither the nearest images nor a classifier that has not seen them would give."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

# A row's classifier learns from the rows of the other folds.
FOLDS = 5
# The support of labels that are likely wrong: at most one of ten neighbours has them. It finds 81% to 96% of those
# that were planted in MNIST, Fashion-MNIST and the digits; 5% to 30% of what it lists was not (docs/errors.md).
WRONG = 0.05
# The share of the labels that a classifier must find. With less, the embedding does not know the classes, and most
# labels without support are right: 85% of them where the embedding of CIFAR-10 is its pixels.
KNOWN = 0.75
# Of the covariance towards a multiple of the identity, for dimensions that hardly vary. With fewer rows than this
# many times the dimensions it is that of Ledoit & Wolf 2004: of 1,500 images of CIFAR-10 in 1,280 dimensions the
# classifier finds 81% instead of 45%, and the average precision of planted labels is 91% instead of 76%.
_SHRINKAGE, _ROWS = 1e-3, 10


class Verdict(NamedTuple):
    """What speaks for the label of each of n rows.

    Attributes:
      confidence: [n] its probability under a classifier that was not trained on the row (self-confidence).
      agreement: [n] the share of the nearest other rows that have it.
      proposed: [n] the class that the classifier finds most probable.
    """

    confidence: Float[np.ndarray, " n"]
    agreement: Float[np.ndarray, " n"]
    proposed: Int[np.ndarray, " n"]

    @property
    def support(self) -> Float[np.ndarray, " n"]:
        """Both together, 0 to 1: the lower, the more suspicious a label is."""
        return (self.confidence + self.agreement) / 2


def judge(
    points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], found: Int[np.ndarray, "n k"]
) -> Verdict:
    """Evaluate each row's label by its neighbours and by an out-of-fold classifier.

    Args:
      points: [n, d] the embedding, n >= 2 * FOLDS.
      labels: [n] int, of at least two classes.
      found: [n, k] the nearest other rows of each row.

    Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, section 3.1: self-confidence.
    """
    confidence, proposed = out_of_fold(points, labels)
    agreement = np.mean(labels[found] == labels[:, None], axis=1)
    return Verdict(confidence, agreement, proposed)


def out_of_fold(
    points: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return (the probability of each row's label, the most probable class), by a classifier of the other folds.

    It is linear discriminant analysis, which needs no training and of which a few wrong labels move only the means.
    """
    # Imported here: scikit-learn takes a second.
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    order = np.random.default_rng(0).permutation(len(labels))
    confidence, proposed = np.zeros(len(labels)), np.zeros(len(labels), int)
    for fold in range(FOLDS):
        held_out, others = order[fold::FOLDS], np.delete(order, np.s_[fold::FOLDS])
        present, counts = np.unique(labels[others], return_counts=True)
        # A class with one row has no variance to learn from.
        others = others[np.isin(labels[others], present[counts > 1])]
        if np.sum(counts > 1) < 2:
            proposed[held_out] = present[counts.argmax()]
            continue
        shrinkage = _SHRINKAGE if len(others) >= _ROWS * points.shape[1] else "auto"
        classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        probabilities = classifier.fit(points[others], labels[others]).predict_proba(points[held_out])
        column = np.searchsorted(classifier.classes_, labels[held_out])
        column = np.minimum(column, len(classifier.classes_) - 1)
        # A class that was not learned has no column.
        known = classifier.classes_[column] == labels[held_out]
        confidence[held_out] = np.where(known, probabilities[np.arange(len(held_out)), column], 0)
        proposed[held_out] = classifier.classes_[probabilities.argmax(axis=1)]
    return confidence, proposed
