"""The layout of a map: every embedding gets a place in two dimensions, and so does a new one, by its neighbours."""

import numpy as np
from jaxtyping import Float

from jaxembed.index import Exact, Found
from jaxembed.kernels import pairs
from jaxembed.measures import tsne

# t-SNE places these many; the others go between their neighbours among them.
LANDMARKS = 4000
# Neighbours that decide where a point goes.
_NEAR = 4


def project(points: Float[np.ndarray, "n d"], *, distance: str) -> Float[np.ndarray, "n 2"]:
    """Place all points: a random sample by t-SNE, the others between their nearest neighbours in it.

    Returns:
      [n, 2] in [-1, 1], the same each time.
    """
    n = len(points)
    if n < 4:  # too few for t-SNE
        return np.stack([np.linspace(-1, 1, n), np.zeros(n)], axis=1) if n > 1 else np.zeros((n, 2))
    chosen = np.sort(np.random.default_rng(0).permutation(n)[:LANDMARKS])
    landmarks = np.asarray(points[chosen])
    picture, _ = tsne.project(pairs.space(landmarks, distance=distance))
    low, high = picture.min(axis=0), picture.max(axis=0)
    picture = (picture - (low + high) / 2) / ((high - low).max() / 2 or 1)
    placed = np.empty((n, 2))
    placed[chosen] = picture
    rest = np.setdiff1d(np.arange(n), chosen)
    if len(rest):
        index = Exact(landmarks, distance=distance)
        for rows in np.array_split(rest, -(-len(rest) // 4096)):
            placed[rows] = place(picture, index.search(np.asarray(points[rows]), _NEAR))
    return placed


def place(placed: Float[np.ndarray, "n 2"], found: Found) -> Float[np.ndarray, "q 2"]:
    """Place queries between their nearest points, the nearer the more."""
    near = slice(0, _NEAR)
    distances = found.distances[:, near]
    weights = 1 / np.maximum(distances, 1e-9 + 1e-6 * distances.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.einsum("qk,qkc->qc", weights, placed[found.rows[:, near]])
