"""The frozen network on whole splits: embeddings, and the objective's own scores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.artifacts import encoder_file
from jaxembed.core import keys
from jaxembed.core.errors import Diverged
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.kernels import chunked, compiler, space
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, Images, OnDisk, Outputs, Scores, Seen, State, Weights

# Images embedded at a time, and their pixels on a device: both are 256 MB of a ResNet18's first feature map.
CHUNK, PIXELS = 1000, 2**20


def embed(
    run: Run, state: State, images: np.ndarray | OnDisk, *, key: Key | None = None
) -> Float[np.ndarray, "n d"]:
    """Embed uint8 images [n, h, w, c] as float32 [n, d] with the frozen encoder.

    With a key, a view of each image is embedded instead, made by the protocol's augmentation.

    Raises:
      Diverged: if an embedding is not finite, or too large to be measured.
    """
    view_keys = None if key is None else jax.random.split(key, len(images))
    function = partial(_embed, run, run.weights(state))
    embeddings = chunked.apply(function, (images, view_keys), size=chunk(run, images))
    if not (usable := space.is_usable(embeddings)).all():
        lost = f"{np.sum(~usable)} of {len(images)} images"
        raise Diverged(f"the embeddings of {lost} are not finite, or beyond {space.LARGEST:g}")
    return embeddings


def reports(run: Run, state: State, split: Batch, name: str) -> dict[str, float]:
    """Average the objective's reports over a whole split, with its test-time variants: `<name>/<score>` -> mean."""
    if not run.objective.reports:
        return {}
    learned = state._replace(opt_state=())
    scores = chunked.apply(partial(_reports, run, learned), split, size=chunk(run, split.images))
    return {f"{name}/{score}": float(values.mean(dtype=np.float64)) for score, values in scores.items()}


def chunk(run: Run, images: np.ndarray | OnDisk) -> int:
    """Return how many of the images [n, h, w, c] are embedded at a time, a multiple of the devices."""
    n, height, width, _ = images.shape
    fitting = max(1, PIXELS // (height * width)) * run.mesh.size
    return -(-min(CHUNK, n, fitting) // run.mesh.size) * run.mesh.size


def fingerprint(weights: Weights) -> str:
    """Hash the parameters and statistics of the encoder of a network: SHA-256, hexadecimal."""
    return encoder_file.fingerprint(weights.params["encoder"], weights.stats.get("encoder", {}))


def objective_scores(run: Run, state: State, dataset: Dataset) -> dict[str, float]:
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
    learned = state._replace(opt_state=())
    scores = [_batch_scores(run, learned, *pair) for pair in pairs]
    return {f"validation/{name}": float(np.mean([score[name] for score in scores])) for name in scores[0]}


@partial(compiler.compiled, static_argnums=0)
def _embed(run: Run, weights: Weights, given: tuple[jax.Array, Key | None]) -> Float[Array, "n d"]:
    raw, view_keys = given
    images = mesh.split(run.mesh, model.pixels(raw))
    if view_keys is not None and run.protocol.augmentation is not None:
        images = jax.vmap(run.protocol.augmentation)(view_keys, images)
    return mesh.whole(run.mesh, run.apply(*weights, images, method="embed"))


@partial(compiler.compiled, static_argnums=0)
def _reports(run: Run, state: State, batch: Batch) -> Scores:
    weights = run.weights(state)
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    shown = jnp.stack([batch.images, *run.objective.variants(batch.images)])
    # A loop, so that the network is compiled once instead of once for each variant.
    embeddings = jax.lax.map(partial(run.apply, *weights, method="embed"), shown)
    prediction = run.apply(*weights, jnp.mean(embeddings, axis=0), method="predict")
    key = keys.divide(state.key).validation
    scores = _score(run, state, Outputs(embeddings[0], prediction), batch.images, batch, key)
    return mesh.whole(run.mesh, {name: scores[name] for name in run.objective.reports})


@partial(compiler.compiled, static_argnums=0)
def _batch_scores(run: Run, state: State, key: Key, batch: Batch) -> dict[str, Array]:
    batch = mesh.split(run.mesh, batch._replace(images=model.pixels(batch.images)))
    images, target = run.objective.views(key, batch)
    outputs = run.apply(state.params, state.stats, images, train=False)
    scores = _score(run, state, outputs, images, target, key)
    return {name: jnp.mean(values) for name, values in scores.items()}


def _score(run: Run, state: State, outputs: Outputs, images: Images, target: Batch, key: Key) -> Scores:
    """Score outputs for images as training does, by the teacher and the memory that it has left."""
    teacher = run.apply(*state.teacher, images, train=False) if state.teacher else None
    progress = state.step / run.total_steps
    return run.score(Seen(outputs, target, teacher, state.memory, keys.of_score(key), progress))
