"""The sample: some test images and what a finished run makes of them, all that its figures are drawn from."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from jaxembed import evaluate, losses, mesh, model
from jaxembed.datasets import Dataset
from jaxembed.evaluate import Judgement
from jaxembed.kernels import pairs, rows
from jaxembed.measures import neighbours
from jaxembed.run import Run
from jaxembed.runs import workdir
from jaxembed.types import Batch, Images, InputError, State

FILE = "sample.npz"
# Test images shown; the same ones in every run on a dataset, so that runs can be laid side by side.
SHOWN = 2000
# Neighbours that a point of the interactive view shows, and train neighbours that the figure of queries shows.
NEAR, FOUND = 5, 8
# Images a row of the figures of reconstructions and views, and views of each.
ACROSS, VIEWS = 8, 4
BINS = 100


class Sample(NamedTuple):
    """n test images, their place among each other, and examples of what the network does.

    Attributes:
      classes: [k] names.
      rows: [n] places in the test split.
      images: [n, h, w, c].
      labels: [n].
      predicted: [n] what the nearest neighbours say.
      points: [n, 2] t-SNE of the embeddings.
      nearest: [n, NEAR] the nearest others of the sample, as places in it.
      edges: [BINS + 1] of the distances between two images of the sample.
      same: [BINS] share of the pairs of one class between two edges.
      different: [BINS] share of the pairs of different classes.
      confusion: [k, k] test images of a class (row) that the MLP probe takes for a class (column).
      queries: [q, h, w, c] one test image a class.
      query_labels: [q].
      found: [q, FOUND, h, w, c] their nearest train images, nearest first.
      found_labels: [q, FOUND].
      seen: [1 + VIEWS, ACROSS, h, w, c] train images, and below each the views that training shows the
        network; none without augmentation.
      errors: [3, ACROSS] L1 of the test images that are reconstructed best, at the median, and worst; none
        unless the objective predicts images.
      originals: [3, ACROSS, h, w, c] those images.
      reconstructions: [3, ACROSS, h, w, c] what becomes of them.
    """

    classes: np.ndarray
    rows: Int[np.ndarray, " n"]
    images: UInt8[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    points: Float[np.ndarray, "n 2"]
    nearest: Int[np.ndarray, "n near"]
    edges: Float[np.ndarray, " edges"]
    same: Float[np.ndarray, " bins"]
    different: Float[np.ndarray, " bins"]
    confusion: Int[np.ndarray, "k k"]
    queries: UInt8[np.ndarray, "q h w c"]
    query_labels: Int[np.ndarray, " q"]
    found: UInt8[np.ndarray, "q found h w c"]
    found_labels: Int[np.ndarray, "q found"]
    seen: UInt8[np.ndarray, "views across h w c"] | None
    errors: Float[np.ndarray, "3 across"] | None
    originals: UInt8[np.ndarray, "3 across h w c"] | None
    reconstructions: UInt8[np.ndarray, "3 across h w c"] | None


OPTIONAL = ("seen", "errors", "originals", "reconstructions")


def take(run: Run, state: State, dataset: Dataset, judgement: Judgement) -> tuple[Sample, dict[str, float]]:
    """Take the sample of a run that was evaluated.

    Returns:
      the sample, and what was measured on it: `test/trustworthiness` of the t-SNE picture (Venna & Kaski 2001,
      as scikit-learn's, with 10 neighbours where there are enough images) and `test/distance_overlap`, the
      area that the distributions of same-class and different-class distances share, 0 to 1.
    """
    # Imported here: scikit-learn takes a second, and training does without it.
    from sklearn.metrics import confusion_matrix

    test = dataset.test
    chosen = np.random.default_rng(0).permutation(len(test.labels))[:SHOWN]
    points = pairs.space(judgement.embeddings["test"][chosen], distance=run.protocol.distance)
    picture, trust = _tsne(points)
    squared = np.concatenate([chunk for _, chunk in pairs.squared_distances(points)])
    edges, same, different = _distances(squared, test.labels[chosen])
    queries, found = _queries(run, dataset, judgement, chosen)
    sample = Sample(
        classes=np.array(dataset.classes),
        rows=chosen,
        images=test.images[chosen],
        labels=test.labels[chosen],
        predicted=judgement.predictions["test"]["knn"][chosen],
        points=picture,
        nearest=_nearest(squared),
        edges=edges,
        same=same,
        different=different,
        confusion=confusion_matrix(
            test.labels, judgement.predictions["test"]["mlp"], labels=range(len(dataset.classes))
        ),
        queries=test.images[queries],
        query_labels=test.labels[queries],
        found=dataset.train.images[found],
        found_labels=dataset.train.labels[found],
        seen=_seen(run, state, dataset),
        **_reconstructed(run, state, test.images),
    )
    overlap = float(np.minimum(same, different).sum())
    return sample, {"test/trustworthiness": trust, "test/distance_overlap": overlap}


def write(sample: Sample, folder: Path) -> None:
    """Write the sample into a run's folder, whole or not at all."""
    arrays = {name: array for name, array in sample._asdict().items() if array is not None}
    with workdir.replacing(FILE, folder) as partial_file:
        np.savez_compressed(partial_file, **arrays)


def read(folder: Path) -> Sample:
    """Read the sample of a run's folder.

    Raises:
      InputError: if there is none, or it is damaged.
    """
    file = folder / FILE
    if not file.exists():
        raise InputError(f"{folder} has no {FILE}; launch.py --evaluate writes it")
    try:
        with np.load(file) as arrays:
            there = {name: arrays[name] for name in Sample._fields if name in arrays or name not in OPTIONAL}
            return Sample(**dict.fromkeys(OPTIONAL) | there)
    except Exception as error:  # a damaged zip file raises nearly anything
        raise InputError(f"{file} is damaged ({type(error).__name__}); launch.py --evaluate writes it") from error


def _tsne(points: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], float]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, trustworthiness
    from threadpoolctl import threadpool_limits

    n, d = points.shape
    # 50 dimensions first, as the method's author does; more only make it slower.
    reduced = PCA(50, random_state=0).fit_transform(points) if min(n, d) > 50 else points
    # Points that are all equal have no principal axes to start from.
    init = "pca" if min(n, d) > 1 and points.any() else "random"
    # One thread: its threads wait for each other by spinning, 50 times as long where another job runs beside.
    with threadpool_limits(1, user_api="openmp"):
        picture = TSNE(perplexity=min(30, (n - 1) / 3), init=init, random_state=0).fit_transform(reduced)
    # Defined for fewer than n / 2 neighbours; two points have none to lose.
    kept = min(10, (n - 1) // 2)
    return picture, float(trustworthiness(points, picture, n_neighbors=kept)) if kept else 1.0


def _distances(squared: Float[np.ndarray, "n n"], labels: Int[np.ndarray, " n"]) -> tuple[np.ndarray, ...]:
    """Bin the distances of all pairs: (edges, shares of same-class pairs, of different-class pairs)."""
    first, second = np.triu_indices(len(labels), k=1)
    distances, same = np.sqrt(squared[first, second]), labels[first] == labels[second]
    # Embeddings that are all equal have no scale of their own.
    edges = np.linspace(0, distances.max() or 1, BINS + 1)
    counts = [np.histogram(distances[which], edges)[0] for which in (same, ~same)]
    return edges, *(count / max(count.sum(), 1) for count in counts)


def _nearest(squared: Float[np.ndarray, "n n"]) -> Int[np.ndarray, "n near"]:
    others = squared.copy()
    np.fill_diagonal(others, np.inf)
    return np.argsort(others, axis=1)[:, : min(NEAR, len(others) - 1)].astype(np.int32)


def _queries(
    run: Run, dataset: Dataset, judgement: Judgement, chosen: np.ndarray
) -> tuple[Int[np.ndarray, " q"], Int[np.ndarray, "q found"]]:
    """Choose the sample's first test image of each of the first 10 classes, and find its nearest train images."""
    _, first = np.unique(dataset.test.labels[chosen], return_index=True)
    queries = chosen[first[:10]]
    train = judgement.embeddings["train"]
    return queries, neighbours.nearest(
        train,
        judgement.embeddings["test"][queries],
        neighbours=min(FOUND, len(train)),
        distance=run.protocol.distance,
    )


def _seen(run: Run, state: State, dataset: Dataset) -> UInt8[np.ndarray, "views across h w c"] | None:
    """Make views of some train images as training does, or nothing if they are what they were."""
    images, labels = (jnp.asarray(array[:ACROSS]) for array in dataset.train)
    batch = Batch(model.pixels(images), labels)
    key = jax.random.fold_in(state.key, VIEWS)
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
