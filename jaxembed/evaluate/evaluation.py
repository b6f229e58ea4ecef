"""Evaluation: a frozen encoder's embedding, measured by everything in metrics/."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float, Int

from jaxembed import metrics
from jaxembed.cli import stages
from jaxembed.core import keys
from jaxembed.evaluate import forward
from jaxembed.kernels import norm
from jaxembed.metrics import Rows, knn, rank
from jaxembed.run.protocol import Protocol
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, State

# (images, key=None) -> [n, d]; with a key, of a view of each image.
Embed = Callable[..., Float[np.ndarray, "n d"]]


class Evaluation(NamedTuple):
    """The measurements of an embedding, and what they were made on.

    Attributes:
      metrics: `<split>/<metric>` -> number.
      embeddings: split -> [n, d] float32; of train and of the splits that were measured.
      sha256: the encoder's hash (`forward.fingerprint`); empty for embeddings that were made elsewhere.
      predictions: split -> classifier ("knn", "linear", "mlp") -> [n] classes.
    """

    metrics: dict[str, float]
    embeddings: dict[str, Float[np.ndarray, "n d"]]
    predictions: dict[str, dict[str, Int[np.ndarray, " n"]]]
    sha256: str = ""


def evaluate(run: Run, state: State, dataset: Dataset, *, splits: Sequence[str] | None = None) -> Evaluation:
    """Measure the frozen embedding on some splits, by default on all that are held out; the others are not used.

    Classifiers learn from the train split only, the probes from views of its images as well if the protocol has
    any. The encoder's parameters are hashed before and after. The metrics are those of metrics/, without labels
    those that need none; the objective's reports (`accuracy`, `l1`); and on validation its other scores.

    Raises:
      RuntimeError: if the encoder changed.
      Diverged: if an embedding is not finite, or too large to be measured.
    """
    before, splits = forward.fingerprint(run.weights(state)), splits or dataset.measured
    if layers := norm.imprecise(run.weights(state).stats):
        logging.warning(
            "means far above deviations: float32 rounds the variance in %s by over 1%%", ", ".join(layers)
        )
    measured = of_embeddings(dataset, Frozen(run, state, dataset, splits), run.protocol)
    numbers = forward.objective_scores(run, state, dataset) | measured.metrics
    for name in splits:
        numbers |= forward.reports(run, state, getattr(dataset, name), name)
    if forward.fingerprint(run.weights(state)) != before:
        raise RuntimeError("the encoder changed while it was evaluated")
    return measured._replace(metrics=numbers, sha256=before)


class Embeddings:
    """The embeddings that are measured, made elsewhere: there are no views of the images.

    Attributes:
      by_split: split -> [n, d] float32.
    """

    def __init__(self, by_split: dict[str, Float[np.ndarray, "n d"]]) -> None:
        """Hold the embeddings of train and of the splits to measure; of train only if there is no other."""
        self.by_split = by_split

    def augmented(self) -> Float[np.ndarray, "m d"] | None:
        """Embed train and augmented views of it, from which the probes learn; None if there are none."""
        return None

    def pair(self, split: str) -> tuple[Float[np.ndarray, "n d"], ...] | None:
        """Embed two augmented views of each image of a split; None if there are none."""
        return None


class Viewed(Embeddings):
    """The embeddings by a function of images, whose views are embedded when they are asked for."""

    def __init__(self, embed: Embed, protocol: Protocol, dataset: Dataset, splits: Sequence[str]) -> None:
        """Embed train and some splits; with a key, the function embeds the views that the protocol makes."""
        self.embed, self.protocol, self.dataset = embed, protocol, dataset
        names = dict.fromkeys(("train", *splits))
        stages.begin(f"embedding {' and '.join(names)} images")
        super().__init__({name: embed(getattr(dataset, name).images) for name in names})

    def augmented(self) -> Float[np.ndarray, "m d"] | None:
        """Embed train and the views that the protocol asks for; None if it has no views, or there are no labels."""
        if not self.protocol.views or not self.dataset.is_labelled:
            return None
        images = self.dataset.train.images
        stages.begin("embedding views of the train images")
        views = [self.embed(images, key=key) for key in keys.probe_views(self.protocol.views)]
        return np.concatenate([self.by_split["train"], *views])

    def pair(self, split: str) -> tuple[Float[np.ndarray, "n d"], ...] | None:
        """Embed two augmented views of each image of a split; None if the protocol has no augmentation."""
        if self.protocol.augmentation is None:
            return None
        images = getattr(self.dataset, split).images
        return tuple(self.embed(images, key=key) for key in keys.pair_views())


class Frozen(Viewed):
    """The embeddings of a run."""

    def __init__(self, run: Run, state: State, dataset: Dataset, splits: Sequence[str]) -> None:
        """Embed train and some splits with the frozen encoder."""
        super().__init__(partial(forward.embed, run, state), run.protocol, dataset, splits)


def of_embeddings(dataset: Dataset, embeddings: Embeddings, protocol: Protocol) -> Evaluation:
    """Measure embeddings, wherever they are from, by everything in metrics/.

    Args:
      dataset: the labels of the splits.
      embeddings: the embeddings of train, from which classifiers learn, and of the splits to measure.
      protocol: how they are measured.
    """
    # The views of train take memory, so nothing here holds them.
    measure = metrics.fit_all(_train(dataset, embeddings), protocol, labelled=dataset.is_labelled)
    numbers, predictions = {}, {}
    for name in [name for name in embeddings.by_split if name != "train"] or ["train"]:
        rows = _rows(embeddings.by_split[name], getattr(dataset, name), dataset)
        measured, predictions[name] = measure(rows._replace(pair=embeddings.pair(name)))
        numbers |= {f"{name}/{metric}": number for metric, number in measured.items()}
    return Evaluation(numbers, embeddings.by_split, predictions)


def validate(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
    """Measure on the validation split during training: the objective's scores, its reports, and kNN.

    Without labels, RankMe takes the place of kNN.
    """
    train = _rows(forward.embed(run, state, dataset.train.images), dataset.train, dataset)
    measure = metrics.fit(knn if dataset.is_labelled else rank, train, run.protocol)
    numbers = forward.objective_scores(run, state, dataset)
    numbers |= forward.reports(run, state, dataset.validation, "validation")
    measured, _ = measure(_rows(forward.embed(run, state, dataset.validation.images), dataset.validation, dataset))
    return numbers | {f"validation/{metric}": number for metric, number in measured.items()}


def _rows(points: Float[np.ndarray, "n d"], split: Batch, dataset: Dataset) -> Rows:
    return Rows(points, split.labels, len(dataset.classes))


def _train(dataset: Dataset, embeddings: Embeddings) -> Rows:
    rows = _rows(embeddings.by_split["train"], dataset.train, dataset)
    return rows._replace(augmented=embeddings.augmented())
