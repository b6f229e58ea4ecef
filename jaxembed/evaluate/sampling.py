"""Taking the sample of a run: held-out images and the network's outputs for them, everything that figures need."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, UInt8

from jaxembed import losses, model
from jaxembed.artifacts import samples
from jaxembed.artifacts.samples import Sample
from jaxembed.core import keys
from jaxembed.devices import mesh
from jaxembed.evaluate import forward
from jaxembed.evaluate.evaluation import Evaluation
from jaxembed.kernels import chunked, compiler, nearest, space
from jaxembed.metrics import overlap, tsne
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, Images, State, Weights

# Test images in the sample; the same ones in every run on a dataset, so that runs can be compared side by side.
SIZE = 2000
# Neighbours in the sample of each image, for the interactive view; train neighbours of each query, for the figure.
NEAR, FOUND = 5, 8
# Queries, one for each of the first classes if there are any.
QUERIES = 10
# Images across the figures of reconstructions and of views, and the number of views of each.
ACROSS, VIEWS = 8, 4


def take(run: Run, state: State, dataset: Dataset, evaluated: Evaluation) -> tuple[Sample, dict[str, float]]:
    """Take the sample of a run that was evaluated: that of its embedding, and what the network does with images."""
    sample, measured = of_embedding(dataset, evaluated, distance=run.protocol.distance)
    shown = _reconstructed(run, state, getattr(dataset, dataset.measured[-1]).images)
    return sample._replace(seen=_seen(run, state, dataset), **shown), measured


def of_embedding(dataset: Dataset, evaluated: Evaluation, *, distance: str) -> tuple[Sample, dict[str, float]]:
    """Take the sample of an embedding, from the last of the splits that it was measured on.

    Args:
      dataset: what was embedded; the images of its splits may be None.
      evaluated: what was measured.
      distance: "cosine" or "euclidean", by which the embeddings are compared.

    Returns:
      the sample, and what was measured on it: `<split>/trustworthiness` of the t-SNE picture and, with labels,
      `<split>/distance_overlap`.
    """
    name = dataset.measured[-1]
    split = getattr(dataset, name)
    chosen = np.random.default_rng(0).permutation(len(split.labels))[:SIZE]
    points = space.of(evaluated.embeddings[name][chosen], distance=distance)
    picture, trust = tsne.project(points)
    squared = np.concatenate([chunk for _, chunk in space.squared_distances(points)])
    queries = _queries(split, chosen, labelled=dataset.is_labelled)
    found = _found(dataset, evaluated, queries, distance=distance)
    by_label, measured = dict.fromkeys(samples.BY_LABEL), {"trustworthiness": trust}
    if dataset.is_labelled:
        fields, apart = _by_label(dataset, evaluated, chosen, squared)
        by_label |= fields | {"query_labels": split.labels[queries], "found_labels": dataset.train.labels[found]}
        measured |= apart
    sample = Sample(
        classes=np.array(dataset.classes if dataset.is_labelled else (), str),
        rows=chosen,
        images=_images(split, chosen),
        points=picture,
        nearest=_nearest(squared),
        queries=_images(split, queries),
        found=_images(dataset.train, found),
        **by_label,
        **dict.fromkeys(("seen", *samples.RECONSTRUCTED)),
    )
    return sample, {f"{name}/{metric}": value for metric, value in measured.items()}


def _by_label(
    dataset: Dataset, evaluated: Evaluation, chosen: np.ndarray, squared: Float[np.ndarray, "n n"]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Take what goes by labels: (fields of the sample, what was measured on it)."""
    # Imported here: scikit-learn takes a second, and training does without it.
    from sklearn.metrics import confusion_matrix

    name = dataset.measured[-1]
    labels, predicted = getattr(dataset, name).labels, evaluated.predictions[name]
    edges, same, different = overlap.histogram(squared, labels[chosen])
    fields = {
        "labels": labels[chosen],
        "predicted": predicted["knn"][chosen],
        "edges": edges,
        "same": same,
        "different": different,
    }
    if (classes := len(dataset.classes)) <= samples.CONFUSED:
        fields["confusion"] = confusion_matrix(labels, predicted["mlp"], labels=range(classes))
    return fields, {"distance_overlap": overlap.overlap(same, different)}


def _nearest(squared: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "n near"]:
    others = squared.copy()
    np.fill_diagonal(others, np.inf)
    return np.argsort(others, axis=1)[:, : min(NEAR, len(others) - 1)].astype(np.int32)


def _queries(split: Batch, chosen: np.ndarray, *, labelled: bool) -> Int[np.ndarray, " q"]:
    """Choose the sample's first image of each of the first classes; without labels, its first images."""
    if not labelled:
        return chosen[:QUERIES]
    _, first = np.unique(split.labels[chosen], return_index=True)
    return chosen[first[:QUERIES]]


def _images(split: Batch, rows: np.ndarray) -> UInt8[np.ndarray, "..."] | None:
    return None if split.images is None else split.images[rows]


def _found(
    dataset: Dataset, evaluated: Evaluation, queries: np.ndarray, *, distance: str
) -> Int[np.ndarray, "q found"]:
    """Find the train images that are nearest to each query, itself left out if it is one of them."""
    train, name = evaluated.embeddings["train"], dataset.measured[-1]
    itself = int(name == "train")
    found = nearest.find(
        train,
        evaluated.embeddings[name][queries],
        neighbours=min(FOUND + itself, len(train)),
        distance=distance,
    )
    return found[:, itself:]


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
    parts = run, run.weights(state)
    predicted = jax.eval_shape(partial(_prediction, *parts), images[:1])
    if [leaf.shape[1:] for leaf in jax.tree.leaves(predicted)] != [images.shape[1:]]:
        return {}
    made = chunked.apply(partial(_predict, *parts), images, size=forward.chunk(run, images))
    errors = np.asarray(losses.l1(jnp.asarray(made), model.pixels(jnp.asarray(images))))
    order, across = np.argsort(errors), min(ACROSS, len(errors))
    middle = (len(order) - across) // 2
    picks = np.stack([order[:across], order[middle : middle + across], order[len(order) - across :]])
    return {"errors": errors[picks], "originals": images[picks], "reconstructions": _uint8(made[picks])}


def _prediction(run: Run, weights: Weights, images: Array) -> PyTree[Float[Array, "n ..."]]:
    images = mesh.split(run.mesh, model.pixels(images))
    return mesh.whole(run.mesh, run.apply(*weights, images, train=False).prediction)


_predict = compiler.compiled(_prediction, static_argnums=0)


def _uint8(images: Images | np.ndarray) -> UInt8[np.ndarray, "..."]:
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
