"""Evaluation: a frozen encoder's embedding, measured by everything in metrics/."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxembed import metrics, model
from jaxembed.core import keys
from jaxembed.core.errors import Diverged
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.kernels import chunked, compiler, space
from jaxembed.metrics import Rows, neighbours, rank
from jaxembed.run.protocol import Protocol
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, OnDisk, Outputs, Scores, State

# Images embedded at a time: 1,000 of 32×32 are 256 MB of a ResNet18's first feature map.
CHUNK = 1000


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
    before, splits = fingerprint(state), splits or dataset.measured
    names = dict.fromkeys(("train", *splits))
    embeddings = {name: embed(run, state, getattr(dataset, name).images) for name in names}
    measured = of_embeddings(
        dataset,
        embeddings,
        run.protocol,
        augmented=lambda: _augmented(run, state, dataset, embeddings["train"]),
        pair=lambda name: _pair(run, state, getattr(dataset, name)),
    )
    numbers = _objective_scores(run, state, dataset) | measured.metrics
    for name in splits:
        numbers |= reports(run, state, getattr(dataset, name), name)
    if fingerprint(state) != before:
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
    train = _rows(embed(run, state, dataset.train.images), dataset.train, dataset)
    measure = metrics.fit(neighbours if dataset.is_labelled else rank, train, run.protocol)
    numbers = _objective_scores(run, state, dataset)
    numbers |= reports(run, state, dataset.validation, "validation")
    measured, _ = measure(_rows(embed(run, state, dataset.validation.images), dataset.validation, dataset))
    return numbers | {f"validation/{metric}": number for metric, number in measured.items()}


def embed(
    run: Run, state: State, images: np.ndarray | OnDisk, *, key: Key | None = None
) -> Float[np.ndarray, "n d"]:
    """Embed uint8 images [n, h, w, c] as float32 [n, d] with the frozen encoder.

    With a key, a view of each image is embedded instead, made by the protocol's augmentation.

    Raises:
      Diverged: if an embedding is not finite, or too large to be measured.
    """
    view_keys = None if key is None else jax.random.split(key, len(images))
    function = partial(_embed, run, state.params, state.stats)
    embeddings = chunked.apply(function, (images, view_keys), size=chunk(run, len(images)))
    if not (usable := space.is_usable(embeddings)).all():
        lost = f"{np.sum(~usable)} of {len(images)} images"
        raise Diverged(f"the embeddings of {lost} are not finite, or beyond {space.LARGEST:g}")
    return embeddings


def reports(run: Run, state: State, split: Batch, name: str) -> dict[str, float]:
    """Average the objective's reports over a whole split, with its test-time variants: `<name>/<score>` -> mean."""
    if not run.objective.reports:
        return {}
    scores = chunked.apply(
        partial(_reports, run, state.params, state.stats), split, size=chunk(run, len(split.labels))
    )
    return {f"{name}/{score}": float(values.mean(dtype=np.float64)) for score, values in scores.items()}


def chunk(run: Run, n: int) -> int:
    """Return how many of n images are embedded at a time, a multiple of the devices."""
    return -(-min(CHUNK, n) // run.mesh.size) * run.mesh.size


def fingerprint(state: State) -> str:
    """Hash the encoder's parameters and statistics: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves((state.params["encoder"], state.stats.get("encoder", {}))):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _rows(points: Float[np.ndarray, "n d"], split: Batch, dataset: Dataset) -> Rows:
    return Rows(points, split.labels, len(dataset.classes))


def _augmented(
    run: Run, state: State, dataset: Dataset, train: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "m d"] | None:
    """Add the embeddings of the augmented views that the probes learn from; None if there are none."""
    if not run.protocol.views or not dataset.is_labelled:
        return None
    view_keys = keys.probe_views(run.protocol.views)
    return np.concatenate([train, *(embed(run, state, dataset.train.images, key=key) for key in view_keys)])


def _pair(run: Run, state: State, split: Batch) -> tuple[Float[np.ndarray, "n d"], ...] | None:
    """Embed two augmented views of each image; None if the protocol has no augmentation."""
    if run.protocol.augmentation is None:
        return None
    return tuple(embed(run, state, split.images, key=key) for key in keys.pair_views())


def _objective_scores(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
    """Score validation batches as training does, views included, but frozen and with the same views each time.

    Without a validation split there is nothing to score.
    """
    split, devices = dataset.validation, run.mesh.size
    if split is None:
        return {}
    size = min(run.training.batch_size, len(split.labels) // devices * devices)
    # Only whole batches: a contrastive loss depends on how many rows it compares.
    batches = [
        jax.tree.map(lambda array: array[start : start + size], split)  # noqa: B023
        for start in range(0, len(split.labels) - size + 1, size)
    ]
    batch_keys = jax.random.split(keys.divide(state.key).validation, len(batches))
    pairs = zip(batch_keys, batches, strict=True)
    scores = [_batch_scores(run, state.params, state.stats, *pair) for pair in pairs]
    return {f"validation/{name}": float(np.mean([score[name] for score in scores])) for name in scores[0]}


@partial(compiler.compiled, static_argnums=0)
def _embed(run: Run, params: Any, stats: Any, given: tuple[jax.Array, Key | None]) -> Float[Array, "n d"]:
    raw, view_keys = given
    images = mesh.split(run.mesh, model.pixels(raw))
    if view_keys is not None and run.protocol.augmentation is not None:
        images = jax.vmap(run.protocol.augmentation)(view_keys, images)
    return mesh.whole(run.mesh, run.apply(params, stats, images, method="embed"))


@partial(compiler.compiled, static_argnums=0)
def _reports(run: Run, params: Any, stats: Any, batch: Batch) -> Scores:
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    shown = jnp.stack([batch.images, *run.objective.variants(batch.images)])
    # A loop, so that the network is compiled once instead of once for each variant.
    embeddings = jax.lax.map(partial(run.apply, params, stats, method="embed"), shown)
    prediction = run.apply(params, stats, jnp.mean(embeddings, axis=0), method="predict")
    scores = run.score(Outputs(embeddings[0], prediction), batch)
    return mesh.whole(run.mesh, {name: scores[name] for name in run.objective.reports})


@partial(compiler.compiled, static_argnums=0)
def _batch_scores(run: Run, params: Any, stats: Any, key: Key, batch: Batch) -> dict[str, Array]:
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    images, target = run.objective.views(key, batch)
    scores = run.score(run.apply(params, stats, images, train=False), target)
    return {name: jnp.mean(values) for name, values in scores.items()}
