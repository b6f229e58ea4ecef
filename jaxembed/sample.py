"""Taking the sample of a run: test images and the network's outputs for them, everything that figures need."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from jaxembed import evaluate, keys, losses, mesh, model
from jaxembed.datasets import Dataset
from jaxembed.evaluate import Evaluation
from jaxembed.kernels import nearest, pairs, rows
from jaxembed.measures import overlap, tsne
from jaxembed.run import Run
from jaxembed.runs.sample import Sample
from jaxembed.types import Batch, Images, State

# Test images in the sample; the same ones in every run on a dataset, so that runs can be compared side by side.
SIZE = 2000
# Neighbours in the sample of each image, for the interactive view; train neighbours of each query, for the figure.
NEAR, FOUND = 5, 8
# Queries, one for each of the first classes.
QUERIES = 10
# Images across the figures of reconstructions and of views, and the number of views of each.
ACROSS, VIEWS = 8, 4


def take(run: Run, state: State, dataset: Dataset, evaluated: Evaluation) -> tuple[Sample, dict[str, float]]:
    """Take the sample of a run that was evaluated.

    Returns:
      the sample, and what was measured on it: `test/trustworthiness` of the t-SNE picture and
      `test/distance_overlap`.
    """
    # Imported here: scikit-learn takes a second, and training does without it.
    from sklearn.metrics import confusion_matrix

    test = dataset.test
    chosen = np.random.default_rng(0).permutation(len(test.labels))[:SIZE]
    points = pairs.space(evaluated.embeddings["test"][chosen], distance=run.protocol.distance)
    picture, trust = tsne.project(points)
    squared = np.concatenate([chunk for _, chunk in pairs.squared_distances(points)])
    edges, same, different = overlap.histogram(squared, test.labels[chosen])
    queries, found = _queries(run, dataset, evaluated, chosen)
    predicted = evaluated.predictions["test"]
    sample = Sample(
        classes=np.array(dataset.classes),
        rows=chosen,
        images=test.images[chosen],
        labels=test.labels[chosen],
        predicted=predicted["knn"][chosen],
        points=picture,
        nearest=_nearest(squared),
        edges=edges,
        same=same,
        different=different,
        confusion=confusion_matrix(test.labels, predicted["mlp"], labels=range(len(dataset.classes))),
        queries=test.images[queries],
        query_labels=test.labels[queries],
        found=dataset.train.images[found],
        found_labels=dataset.train.labels[found],
        seen=_seen(run, state, dataset),
        **_reconstructed(run, state, test.images),
    )
    return sample, {"test/trustworthiness": trust, "test/distance_overlap": overlap.overlap(same, different)}


def _nearest(squared: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "n near"]:
    others = squared.copy()
    np.fill_diagonal(others, np.inf)
    return np.argsort(others, axis=1)[:, : min(NEAR, len(others) - 1)].astype(np.int32)


def _queries(
    run: Run, dataset: Dataset, evaluated: Evaluation, chosen: np.ndarray
) -> tuple[Int[np.ndarray, " q"], Int[np.ndarray, "q found"]]:
    """Choose the sample's first test image of each of the first classes, and find its nearest train images."""
    _, first = np.unique(dataset.test.labels[chosen], return_index=True)
    queries = chosen[first[:QUERIES]]
    train = evaluated.embeddings["train"]
    return queries, nearest.find(
        train,
        evaluated.embeddings["test"][queries],
        neighbours=min(FOUND, len(train)),
        distance=run.protocol.distance,
    )


def _seen(run: Run, state: State, dataset: Dataset) -> UInt8[np.ndarray, "views across h w c"] | None:
    """Make views of some train images as training does; None if they equal the images."""
    images, labels = (jnp.asarray(array[:ACROSS]) for array in dataset.train)
    batch = Batch(model.pixels(images), labels)
    key = keys.divide(state.key).pictures
    each = len(jax.eval_shape(run.objective.views, key, batch)[0]) // len(batch.labels)
    several = jax.tree.map(lambda array: jnp.concatenate([array] * max(1, VIEWS // each)), batch)
    views = jax.jit(run.objective.views)(key, several)[0]
    views = np.asarray(views).reshape(-1, *batch.images.shape)
    seen = np.concatenate([np.asarray(batch.images)[None], views])
    return None if (seen == seen[:1]).all() else _uint8(seen)


def _reconstructed(run: Run, state: State, images: UInt8[np.ndarray, "n h w c"]) -> dict[str, Any]:
    """Reconstruct all images and choose the best, the median and the worst by L1."""
    parts = run, state.params, state.stats
    if jax.eval_shape(partial(_prediction, *parts), images[:1]).shape[1:] != images.shape[1:]:
        return {"errors": None, "originals": None, "reconstructions": None}
    made = rows.chunked(partial(_predict, *parts), images, size=evaluate.chunk(run, len(images)))
    errors = np.asarray(losses.l1(jnp.asarray(made), model.pixels(jnp.asarray(images))))
    order, across = np.argsort(errors), min(ACROSS, len(errors))
    middle = (len(order) - across) // 2
    picks = np.stack([order[:across], order[middle : middle + across], order[len(order) - across :]])
    return {"errors": errors[picks], "originals": images[picks], "reconstructions": _uint8(made[picks])}


def _prediction(run: Run, params: Any, stats: Any, images: Array) -> Float[Array, "n ..."]:
    images = mesh.split(run.mesh, model.pixels(images))
    return mesh.whole(run.mesh, run.apply(params, stats, images, train=False).prediction)


_predict = mesh.compiled(_prediction, static_argnums=0)


def _uint8(images: Images | np.ndarray) -> UInt8[np.ndarray, "..."]:
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
