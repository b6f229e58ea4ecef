"""Checks of what only several parts of a run together can say."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxembed import encoders, model
from jaxembed.core import bounds
from jaxembed.core.bounds import Section
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.metrics import probe
from jaxembed.run import memory
from jaxembed.run.protocol import Protocol
from jaxembed.run.run import Run
from jaxembed.run.training import Training
from jaxembed.types import Batch, Dataset, Outputs, Seen


def resized(
    training: Training, embedder: model.Embedder, shapes: memory.Shapes, image_shape: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return the height and width of early views; InputError unless the same parameters can take them."""
    side, share = training.early_side, training.early_share
    if (side > 0) != (share > 0):
        raise InputError(
            "config.train.early_side and early_share go together: both must be above 0, or neither, got "
            f"{side} and {share}"
        )
    if not side:
        return None
    height, width, channels = image_shape
    if side >= (shorter := min(height, width)):
        raise InputError(f"config.train.early_side must be below the images' {shorter} pixels, got {side}")
    resized = round(height * side / shorter), round(width * side / shorter)
    early = memory.shapes(embedder, jnp.zeros((1, *resized, channels)))
    if (early.params, early.outputs) != (shapes.params, shapes.outputs):
        raise InputError(
            f"config.train.early_side={side} needs an encoder and an objective for images of any size, such as "
            "encoder.name='cnn' or 'resnet' with objective.name='ntxent'"
        )
    return resized


def check_learning(learning: memory.Shapes, section: Section) -> None:
    """Raise an InputError if a network has nothing to train: with a frozen encoder, a head without parameters."""
    if not jax.tree.leaves(learning.params):
        raise InputError(
            "config.train.frozen needs an objective whose head has parameters, such as 'ntxent' or 'classify'; got "
            f"config.objective.name={section['name']!r}"
        )


def check_running(training: Training, start: encoders.Origin, shapes: memory.Shapes) -> None:
    """Raise an InputError if an encoder is to keep running statistics that it does not have or start with."""
    if training.statistics == "running" and not (start.start and "encoder" in shapes.stats):
        raise InputError(
            "config.train.statistics='running' keeps the BatchNorm statistics that an encoder starts with: it "
            f"needs config.encoder.start, and an encoder with BatchNorm, got start={start.start!r}"
        )


def check_chunk(training: Training, views: int, devices: int, *, has_statistics: bool) -> None:
    """Raise an InputError unless the views of a batch can be divided into the chunks that the config asks for."""
    chunk = training.chunk
    if chunk and (views % chunk or chunk % devices):
        raise InputError(
            f"config.train.chunk must divide the {views} views of a batch, and be a multiple of the {devices} "
            f"devices, got {chunk}"
        )
    if chunk and has_statistics and training.statistics != "chunk":
        raise InputError(
            "config.train.chunk changes the statistics of BatchNorm, in the encoder or the head, to those of a "
            "chunk; ask for that by config.train.statistics='chunk'"
        )
    if not chunk and training.statistics == "chunk":
        raise InputError("config.train.statistics='chunk' needs config.train.chunk, got 0")


def check_objective(run: Run, outputs: Outputs, image_shape: tuple[int, ...]) -> None:
    """Raise an InputError unless what an objective scores and remembers of a batch has the shapes it should have.

    Args:
      run: the parts of the run.
      outputs: the shapes of the model's outputs for one row.
      image_shape: of an image.
    """
    size, objective = run.training.batch_size, run.objective
    if objective.evaluates_teacher and not objective.teacher:
        raise InputError("the objective evaluates its teacher, but has none")
    batch = Batch(jnp.zeros((size, *image_shape)), jnp.zeros(size, jnp.int32))
    try:
        scored = jax.eval_shape(partial(_scored, run, outputs), jax.random.key(0), batch)
    except ValueError as error:  # what a loss raises
        raise InputError(f"config.objective cannot score a batch of {size} images: {error}") from error
    rows, scores, *memories = scored
    if not isinstance(scores, dict) or "loss" not in scores:
        got = ", ".join(scores) or "nothing" if isinstance(scores, dict) else bounds.shown(scores)
        raise InputError(f"the objective's score must be a dict with a 'loss', got {got}")
    for name, values in scores.items():
        if values.ndim > 1 or not jnp.issubdtype(values.dtype, jnp.floating):
            raise InputError(
                f"the objective's score {name!r} must be one float for each row, or one for the batch, got "
                f"{_shown(values)}"
            )
    for name in objective.reports:
        if name not in scores or scores[name].shape != rows.shape:
            got = _shown(scores[name]) if name in scores else "none"
            raise InputError(f"the objective reports {name!r}, which must be a score of each row, got {got}")
    first, then = (jax.tree.map(_shown, kept) for kept in memories)
    drawn = any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(memories))
    if first != then or drawn:
        raise InputError(f"the objective must remember numbers as before the first step, {first}, got {then}")


def _shown(array: jax.ShapeDtypeStruct) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _scored(run: Run, outputs: Outputs, key: Key, batch: Batch) -> tuple[Any, ...]:
    """Score a batch with outputs of the right shapes: (a number a row, scores, memory before and after)."""
    views, target = run.objective.views(key, batch)
    made = jax.tree.map(lambda leaf: jnp.zeros((len(views), *leaf.shape[1:]), leaf.dtype), outputs)
    first = run.objective.memory(key)
    seen = Seen(made, target, made if run.objective.teacher else None, first, key, jnp.zeros(()))
    with mesh.around(run.mesh):
        return made.embedding[:, 0], run.objective.score(seen), first, run.objective.remember(seen)


def check_probes(protocol: Protocol, dataset: Dataset, embedding: jax.ShapeDtypeStruct) -> None:
    """Raise an OutOfMemory or an InputError if the probes certainly cannot be trained on these embeddings."""
    if not dataset.is_labelled:  # then there are none
        return
    rows = len(dataset.train.labels) * (1 + protocol.views)
    memory.check_rows(rows, embedding.shape[1], what="config.evaluate.views")
    for name, settings in (("linear", protocol.linear), ("mlp", protocol.mlp)):
        what, batch_size = f"config.evaluate.{name}", min(settings.batch_size, rows)
        memory.check_steps(settings.epochs, rows // batch_size, what=f"{what}.epochs")
        network = memory.shapes(probe.network(settings, len(dataset.classes)), jnp.zeros(embedding.shape))
        memory.check_memory(network, optax.adam(0.0), rows=batch_size, itemsize=4, what=what)


def check_counts(training: Training, protocol: Protocol, dataset: Dataset, devices: int) -> None:
    """Raise an InputError unless the dataset has enough images for a batch, for the metrics and for the devices."""
    images = len(dataset.train.labels)
    batch_size = training.batch_size
    if batch_size % devices:
        raise InputError(f"config.train.batch_size must be a multiple of the {devices} devices, got {batch_size}")
    for name, count in (("train.batch_size", batch_size), ("evaluate.neighbours", protocol.neighbours)):
        if count > images:
            raise InputError(
                f"config.{name} must be at most the {images} train images of {dataset.name}, got {count}"
            )
    for split in dataset.measured:
        if (count := len(getattr(dataset, split).labels)) < 2:
            raise InputError(f"the {split} split of {dataset.name} must have at least 2 images, got {count}")
    if dataset.validation is not None and (count := len(dataset.validation.labels)) < devices:
        raise InputError(f"config.data.validation must be 0 or at least the {devices} devices, got {count}")
