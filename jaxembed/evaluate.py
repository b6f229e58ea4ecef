"""Evaluation: what a frozen encoder's embedding is worth to classifiers, and how its classes lie."""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed import log, mesh, model
from jaxembed.datasets import Dataset
from jaxembed.kernels import pairs, rows
from jaxembed.measures import geometry, neighbours, probe, retrieval
from jaxembed.run import Run
from jaxembed.types import Batch, Key, Scores, State

# Images embedded at a time: 1,000 of 32×32 are 256 MB of a ResNet18's first feature map.
CHUNK = 1000
# Folded into the state's key; 0 to 2 give the keys of training, which are what `split` makes of it.
VALIDATION = 3


class Judgement(NamedTuple):
    """What an embedding is worth, and what that was seen from.

    Attributes:
      metrics: `<split>/<measure>` -> number.
      embeddings: split -> [n, d] float32; of train and of the splits that were judged.
      predictions: split -> judge ("knn", "linear", "mlp") -> [n] classes.
    """

    metrics: dict[str, float]
    embeddings: dict[str, Float[np.ndarray, "n d"]]
    predictions: dict[str, dict[str, Int[np.ndarray, " n"]]]


def evaluate(
    run: Run, state: State, dataset: Dataset, *, splits: Sequence[str] = ("validation", "test")
) -> Judgement:
    """Judge the frozen embedding on some splits; what is not among them is not looked at.

    The classifiers learn from the train split alone, the probes from views of its images as well if the protocol
    has any. The encoder's parameters are hashed before and after. The metrics are `knn_accuracy`,
    `linear_accuracy` and `mlp_accuracy` as fractions, those of `geometry.measure` and `retrieval.measure`, what
    the objective reports of itself (`accuracy`, `l1`), and on validation its other scores.

    Raises:
      RuntimeError: if the encoder changed.
      log.Diverged: if an embedding is not finite, or too large to be measured.
    """
    before = fingerprint(state)
    embeddings = {name: embed(run, state, getattr(dataset, name).images) for name in ("train", *splits)}
    judges = _judges(run, state, embeddings["train"], dataset)
    metrics, predictions = _objective_scores(run, state, dataset), {}
    for name in splits:
        points, split = embeddings[name], getattr(dataset, name)
        predictions[name] = {judge: classify(points) for judge, classify in judges.items()}
        measures = geometry.measure(points, split.labels, distance=run.protocol.distance)
        measures |= retrieval.measure(points, split.labels, distance=run.protocol.distance)
        measures |= {f"{judge}_accuracy": _accuracy(said, split) for judge, said in predictions[name].items()}
        metrics |= {f"{name}/{measure}": value for measure, value in measures.items()}
        metrics |= reports(run, state, split, name)
    if fingerprint(state) != before:
        raise RuntimeError("the encoder changed while it was evaluated")
    return Judgement(metrics, embeddings, predictions)


def validate(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
    """Measure on the validation split during training: the objective's scores, what it reports, and kNN."""
    judge = _knn(run, embed(run, state, dataset.train.images), dataset)
    metrics = _objective_scores(run, state, dataset)
    metrics |= reports(run, state, dataset.validation, "validation")
    predicted = judge(embed(run, state, dataset.validation.images))
    return metrics | {"validation/knn_accuracy": _accuracy(predicted, dataset.validation)}


def embed(run: Run, state: State, images: np.ndarray, *, key: Key | None = None) -> Float[np.ndarray, "n d"]:
    """Embed uint8 images [n, h, w, c] as float32 [n, d] with the frozen encoder.

    With a key, not the images are embedded but a view of each, by the protocol's augmentation.

    Raises:
      log.Diverged: if an embedding is not finite, or too large to be measured.
    """
    keys = None if key is None else jax.random.split(key, len(images))
    function = partial(_embed, run, state.params, state.stats)
    embeddings = rows.chunked(function, (images, keys), size=chunk(run, len(images)))
    if not (usable := pairs.is_usable(embeddings)).all():
        lost = f"{np.sum(~usable)} of {len(images)} images"
        raise log.Diverged(f"the embeddings of {lost} are not finite, or beyond {pairs.LARGEST:g}")
    return embeddings


def reports(run: Run, state: State, split: Batch, name: str) -> dict[str, float]:
    """Average what the objective can say image by image over a whole split: `<name>/<score>` -> mean."""
    if not run.objective.reports:
        return {}
    scores = rows.chunked(
        partial(_reports, run, state.params, state.stats), split, size=chunk(run, len(split.labels))
    )
    return {f"{name}/{score}": float(values.mean(dtype=np.float64)) for score, values in scores.items()}


def chunk(run: Run, n: int) -> int:
    """Return how many of n images are seen at a time, a multiple of the devices."""
    return -(-min(CHUNK, n) // run.mesh.size) * run.mesh.size


def fingerprint(state: State) -> str:
    """Hash the encoder's parameters and statistics: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((state.params["encoder"], state.stats.get("encoder", {}))):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _judges(run: Run, state: State, embeddings: np.ndarray, dataset: Dataset) -> dict[str, Any]:
    """Make the classifiers of an embedding, of which the train split is given."""
    # Keys of their own, so that the probes do not depend on the run's seed.
    linear_key, mlp_key = jax.random.split(jax.random.key(0))
    split, view_keys = dataset.train, jax.random.split(jax.random.key(1), run.protocol.views)
    fit = partial(
        probe.fit,
        embeddings=np.concatenate([embeddings, *(embed(run, state, split.images, key=key) for key in view_keys)]),
        labels=np.tile(split.labels, 1 + run.protocol.views),
        classes=len(dataset.classes),
    )
    return {
        "knn": _knn(run, embeddings, dataset),
        "linear": fit(linear_key, settings=run.protocol.linear),
        "mlp": fit(mlp_key, settings=run.protocol.mlp),
    }


def _knn(run: Run, embeddings: np.ndarray, dataset: Dataset) -> Any:
    return partial(
        neighbours.classify,
        embeddings,
        dataset.train.labels,
        neighbours=run.protocol.neighbours,
        distance=run.protocol.distance,
        classes=len(dataset.classes),
    )


def _accuracy(predicted: np.ndarray, split: Batch) -> float:
    return float(np.mean(predicted == split.labels))


def _objective_scores(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
    """Score validation batches as training does, views and all, but frozen and with the same views each time."""
    split, devices = dataset.validation, run.mesh.size
    size = min(run.training.batch_size, len(split.labels) // devices * devices)
    # Whole batches alone: a contrastive loss depends on how many rows it compares.
    batches = [
        jax.tree.map(lambda array: array[start : start + size], split)  # noqa: B023
        for start in range(0, len(split.labels) - size + 1, size)
    ]
    keys = jax.random.split(jax.random.fold_in(state.key, VALIDATION), len(batches))
    scores = [_batch_scores(run, state.params, state.stats, *pair) for pair in zip(keys, batches, strict=True)]
    return {f"validation/{name}": float(np.mean([score[name] for score in scores])) for name in scores[0]}


@partial(mesh.compiled, static_argnums=0)
def _embed(run: Run, params: Any, stats: Any, given: tuple[jax.Array, Key | None]) -> Float[Array, "n d"]:
    raw, keys = given
    images = mesh.split(run.mesh, model.pixels(raw))
    if keys is not None:
        images = jax.vmap(run.protocol.augmentation)(keys, images)
    return mesh.whole(run.mesh, run.apply(params, stats, images, method="embed"))


@partial(mesh.compiled, static_argnums=0)
def _reports(run: Run, params: Any, stats: Any, batch: Batch) -> Scores:
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    scores = run.objective.score(run.apply(params, stats, batch.images, train=False), batch)
    return mesh.whole(run.mesh, {name: scores[name] for name in run.objective.reports})


@partial(mesh.compiled, static_argnums=0)
def _batch_scores(run: Run, params: Any, stats: Any, key: Key, batch: Batch) -> dict[str, Array]:
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    images, target = run.objective.views(key, batch)
    scores = run.objective.score(run.apply(params, stats, images, train=False), target)
    return {name: jnp.mean(values) for name, values in scores.items()}
