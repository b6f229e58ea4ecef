"""Few labels: how good an embedding is for somebody with 1, 10 or 100 labels a class."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from jaxembed.metrics import Column, Measure, Measured, Rows, knn

POSITION = 45
LABELLED = True
COUNTS = (1, 10, 100)
# How often that number of labels is drawn.
DRAWS = 5
# Labels in a draw at most: with thousands of classes a draw is no longer few, and takes long to learn from.
MOST = 5_000
CLASSIFIERS = {
    "knn": ("kNN", "kNN with {labels} a class"),
    "linear": ("linear", "A linear classifier trained on {labels} a class"),
}


def _columns(name: str, count: int) -> tuple[Column, Column]:
    label, how = CLASSIFIERS[name]
    how = how.format(labels="1 labelled image" if count == 1 else f"{count} labelled images")
    of = f"{label}, {count} {'label' if count == 1 else 'labels'}"
    shown = dict(percent=True, table="few labels")
    mean = Column(metric(name, count), label=f"{of} %", better=0, meaning=f"{how}; mean of {DRAWS} draws.", **shown)
    deviation = Column(
        f"{metric(name, count)}_sd",
        label=f"{of}, sd",
        better=0,
        meaning="Its standard deviation.",
        **shown | dict(table=""),
    )
    return mean, deviation


def metric(classifier: str, count: int) -> str:
    """Name the metric of a classifier, a key of CLASSIFIERS, with a number of labels a class."""
    return f"{classifier}_accuracy_{count}_label{'' if count == 1 else 's'}"


COLUMNS = tuple(column for name in CLASSIFIERS for count in COUNTS for column in _columns(name, count))


def fit(train: Rows, *, neighbours: int, distance: str) -> Measure:
    """Train both classifiers on each draw; measure the mean and the standard deviation of their accuracies.

    Counts larger than the smallest class are left out, and those that make more than MOST labels.
    """
    moments = _moments(train.points)
    fitted = {}
    for count in COUNTS:
        for rows in draws(train.labels, count):
            points, labels = train.points[rows], train.labels[rows]
            # As many neighbours as the square root of the labels a class: more would ask other classes as well.
            voters = min(neighbours, round(count**0.5))
            nearest, linear = _nearest(points, labels, voters, distance), _linear(points, labels, moments)
            fitted.setdefault(metric("knn", count), []).append(nearest)
            fitted.setdefault(metric("linear", count), []).append(linear)

    def measure(rows: Rows) -> Measured:
        numbers = {}
        for name, classifiers in fitted.items():
            accuracies = [float(np.mean(classify(rows.points) == rows.labels)) for classify in classifiers]
            numbers |= {name: float(np.mean(accuracies)), f"{name}_sd": float(np.std(accuracies, ddof=1))}
        return Measured(numbers)

    return measure


def draws(labels: Int[np.ndarray, " n"], count: int) -> list[Int[np.ndarray, " rows"]]:
    """Draw `count` rows of each class, DRAWS times; the same ones whenever the labels are the same.

    The rows of a smaller count are among those of a larger one.

    Returns:
      DRAWS arrays of rows; none if a class has fewer than that many, or they would be more than MOST.
    """
    present, counts = np.unique(labels, return_counts=True)
    if counts.min() < count or count * len(present) > MOST:
        return []
    drawn = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(labels))
        by_class = order[np.argsort(labels[order], kind="stable")]
        starts = np.cumsum(counts) - counts
        drawn.append(np.concatenate([by_class[start : start + count] for start in starts]))
    return drawn


def _nearest(
    points: Float[np.ndarray, "m d"], labels: Int[np.ndarray, " m"], voters: int, distance: str
) -> Callable[[Float[np.ndarray, "n d"]], Int[np.ndarray, " n"]]:
    return lambda rows: knn.classify(points, labels, rows, neighbours=voters, distance=distance)


def _linear(
    points: Float[np.ndarray, "m d"],
    labels: Int[np.ndarray, " m"],
    moments: tuple[Float[np.ndarray, "1 d"], Float[np.ndarray, "1 d"]],
) -> Callable[[Float[np.ndarray, "n d"]], Int[np.ndarray, " n"]]:
    """Train scikit-learn's logistic regression with its own settings, on standardised points."""
    # Imported here: scikit-learn takes a second, and reports do without it.
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, scale = moments
    # One thread: the matrices are so small that several mostly wait for each other by spinning.
    with threadpool_limits(1, user_api="blas"):
        classifier = LogisticRegression(max_iter=1000).fit((points - mean) / scale, labels)
    return lambda rows: classifier.predict((rows - mean) / scale)


def _moments(
    points: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "1 d"], Float[np.ndarray, "1 d"]]:
    """Return the mean of all points, which need no label, and by what each dimension is divided."""
    mean = points.mean(axis=0, keepdims=True, dtype=np.float64)
    deviation = points.std(axis=0, keepdims=True, dtype=np.float64)
    return mean, np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)
