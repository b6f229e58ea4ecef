"""Clusters of embeddings, and their names."""

import collections
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxembed.embed import words
from jaxembed.embed.encoder import Encoder
from jaxembed.kernels import space

# Clusters at most, rows that they are learned from, and rows that are assigned at a time.
MOST, SAMPLE, _CHUNK = 20, 20_000, 8192


def assign(points: Float[np.ndarray, "n d"], *, distance: str) -> Int[np.ndarray, " n"]:
    """Assign points to clusters, by k-means from one start; the same points always get the same clusters.

    There are sqrt(n) / 3 clusters, at least 2 and at most 20: so many have names that fit on a map. They are
    learned from 20,000 points at most. By cosine, the directions of the points are clustered.

    Returns:
      cluster of each point, from 0, the largest first.
    """
    from sklearn.cluster import MiniBatchKMeans  # here, because it takes a second
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    rows = np.random.default_rng(0).permutation(len(points))[:SAMPLE]
    learned = _prepared(points[np.sort(rows)], distance)
    count = min(max(2, round(len(points) ** 0.5 / 3)), MOST, len(np.unique(learned, axis=0)))
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters, where points are equal
        model = MiniBatchKMeans(count, n_init=1, batch_size=2048, random_state=0).fit(learned)
        starts = range(0, len(points), _CHUNK)
        codes = [model.predict(_prepared(points[start : start + _CHUNK], distance)) for start in starts]
    found = np.concatenate(codes).astype(int)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    return np.argsort(order)[found]


def name(codes: Int[np.ndarray, " n"], texts: Sequence[Sequence[str]], named: dict[int, str]) -> list[str]:
    """Name clusters: by a text that most of its points have, else by a word, else by its number, from 1.

    Args:
      codes: cluster of each point, from 0.
      texts: several texts of each point, such as its class and its folder; the first that dominates is taken.
      named: word of each cluster, if there are words.

    Returns:
      name of each cluster. Of several with the same, the later ones have a number: "cat", "cat 2".
    """
    chosen = []
    for cluster in range(codes.max() + 1):
        members = np.flatnonzero(codes == cluster)
        most = (_dominant([column[row] for row in members]) for column in texts)
        chosen.append(next(filter(None, most), named.get(cluster, f"cluster {cluster + 1}")))
    seen: collections.Counter[str] = collections.Counter()
    numbered = []
    for each in chosen:
        seen[each] += 1
        numbered.append(each if seen[each] == 1 else f"{each} {seen[each]}")
    return numbered


def by_words(
    encoder: Encoder, labels: Sequence[str], points: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"]
) -> dict[int, str]:
    """Name each cluster by the word that is nearest to the mean direction of its points."""
    found = words.nearest_to_clusters(np.asarray(points), codes, words.embed(encoder, labels))
    return {cluster: labels[number] for cluster, number in found.items()}


def _dominant(texts: Sequence[str]) -> str:
    """Return the text that more than half of them are, "" if there is none."""
    [(text, count)] = collections.Counter(texts).most_common(1)
    return text if 2 * count > len(texts) else ""


def _prepared(points: Float[np.ndarray, "n d"], distance: str) -> Float[np.ndarray, "n d"]:
    """Take the directions of points for cosine."""
    points = np.asarray(points, np.float32)
    return space.directions(points) if distance == "cosine" else points
