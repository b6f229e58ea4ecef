"""Evaluation: a frozen encoder's embedding, measured by everything in metrics/."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxembed import metrics
from jaxembed.core import keys
from jaxembed.evaluate import forward
from jaxembed.metrics import Rows, neighbours, rank
from jaxembed.run.protocol import Protocol
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, State


class Evaluation(NamedTuple):
    """The measurements of an embedding, and what they were made on.

    Attributes:
      metrics: `<split>/<metric>` -> number.
      embeddings: split -> [n, d] float32; of train and of the splits that were measured.
      predictions: split -> classifier ("knn", "linear", "mlp") -> [n] classes.
    """

    metrics: dict[str, float]
    embeddings: dict[str, Float[np.ndarray, "n d"]]
    predictions: dict[str, dict[str, Int[np.ndarray, " n"]]]


def evaluate(run: Run, state: State, dataset: Dataset, *, splits: Sequence[str] | None = None) -> Evaluation:
    """Measure the frozen embedding on some splits, by default on all that are held out; the others are not used.

    Classifiers learn from the train split only, the probes from views of its images as well if the protocol has
    any. The encoder's parameters are hashed before and after. The metrics are those of metrics/, without labels
    those that need none; the objective's reports (`accuracy`, `l1`); and on validation its other scores.

    Raises:
      RuntimeError: if the encoder changed.
      Diverged: if an embedding is not finite, or too large to be measured.
    """
    before, splits = forward.fingerprint(state), splits or dataset.measured
    names = dict.fromkeys(("train", *splits))
    embeddings = {name: forward.embed(run, state, getattr(dataset, name).images) for name in names}
    measured = of_embeddings(
        dataset,
        embeddings,
        run.protocol,
        augmented=lambda: _augmented(run, state, dataset, embeddings["train"]),
        pair=lambda name: _pair(run, state, getattr(dataset, name)),
    )
    numbers = forward.objective_scores(run, state, dataset) | measured.metrics
    for name in splits:
        numbers |= forward.reports(run, state, getattr(dataset, name), name)
    if forward.fingerprint(state) != before:
        raise RuntimeError("the encoder changed while it was evaluated")
    return measured._replace(metrics=numbers)


def of_embeddings(
    dataset: Dataset,
    embeddings: dict[str, Float[np.ndarray, "n d"]],
    protocol: Protocol,
    *,
    augmented: Callable[[], Float[np.ndarray, "m d"] | None] = lambda: None,
    pair: Callable[[str], tuple[Float[np.ndarray, "n d"], ...] | None] = lambda split: None,
) -> Evaluation:
    """Measure embeddings, wherever they are from, by everything in metrics/.

    Args:
      dataset: that was embedded; of it the labels count.
      embeddings: split -> [n, d] float32: of train, from which classifiers learn, and of the splits to measure; of
        train alone if there is no other.
      protocol: how they are measured.
      augmented: function that returns the embeddings of train and of augmented views of it, from which the probes
        learn, or None.
      pair: function from a split to the embeddings of two views of each image, or None.
    """
    train = _rows(embeddings["train"], dataset.train, dataset)._replace(augmented=augmented())
    measure = metrics.fit_all(train, protocol, labelled=dataset.is_labelled)
    del train  # with its views, which take memory
    numbers, predictions = {}, {}
    for name in [name for name in embeddings if name != "train"] or ["train"]:
        rows = _rows(embeddings[name], getattr(dataset, name), dataset)._replace(pair=pair(name))
        measured, predictions[name] = measure(rows)
        numbers |= {f"{name}/{metric}": number for metric, number in measured.items()}
    return Evaluation(numbers, embeddings, predictions)


def validate(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
    """Measure on the validation split during training: the objective's scores, its reports, and kNN.

    Without labels, RankMe takes the place of kNN.
    """
    train = _rows(forward.embed(run, state, dataset.train.images), dataset.train, dataset)
    measure = metrics.fit(neighbours if dataset.is_labelled else rank, train, run.protocol)
    numbers = forward.objective_scores(run, state, dataset)
    numbers |= forward.reports(run, state, dataset.validation, "validation")
    measured, _ = measure(_rows(forward.embed(run, state, dataset.validation.images), dataset.validation, dataset))
    return numbers | {f"validation/{metric}": number for metric, number in measured.items()}


def _rows(points: Float[np.ndarray, "n d"], split: Batch, dataset: Dataset) -> Rows:
    return Rows(points, split.labels, len(dataset.classes))


def _augmented(
    run: Run, state: State, dataset: Dataset, train: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "m d"] | None:
    """Add the embeddings of the augmented views that the probes learn from; None if there are none."""
    if not run.protocol.views or not dataset.is_labelled:
        return None
    view_keys = keys.probe_views(run.protocol.views)
    return np.concatenate([train, *(forward.embed(run, state, dataset.train.images, key=key) for key in view_keys)])


def _pair(run: Run, state: State, split: Batch) -> tuple[Float[np.ndarray, "n d"], ...] | None:
    """Embed two augmented views of each image; None if the protocol has no augmentation."""
    if run.protocol.augmentation is None:
        return None
    return tuple(forward.embed(run, state, split.images, key=key) for key in keys.pair_views())
