"""Map layout: two-dimensional positions for embeddings, and for new images by interpolation."""

import numpy as np
from jaxtyping import Float

from jaxembed.embed.index import Exact, Neighbours
from jaxembed.kernels import space
from jaxembed.metrics import tsne

# t-SNE embeds this many landmarks; all other points are interpolated between their nearest landmarks.
LANDMARKS = 4000
# Neighbours that a position is interpolated from.
_NEIGHBOURS = 4


def project(embeddings: Float[np.ndarray, "n d"], *, distance: str) -> Float[np.ndarray, "n 2"]:
    """Compute map positions: t-SNE for a random sample of landmarks, interpolation for all other embeddings.

    Returns:
      positions [n, 2] in [-1, 1]; deterministic.
    """
    n = len(embeddings)
    if n < 4:  # too few for t-SNE
        return np.stack([np.linspace(-1, 1, n), np.zeros(n)], axis=1) if n > 1 else np.zeros((n, 2))
    chosen = np.sort(np.random.default_rng(0).permutation(n)[:LANDMARKS])
    landmarks = np.asarray(embeddings[chosen])
    projected, _ = tsne.project(space.of(landmarks, distance=distance))
    projected = projected.astype(np.float64)
    low, high = projected.min(axis=0), projected.max(axis=0)
    # A picture of one point remains one.
    projected = (projected - (low + high) / 2) / max((high - low).max() / 2, space.SMALLEST)
    positions = np.empty((n, 2))
    positions[chosen] = projected
    rest = np.setdiff1d(np.arange(n), chosen)
    if len(rest):
        index = Exact(landmarks, distance=distance)
        for rows in np.array_split(rest, -(-len(rest) // 4096)):
            neighbours = index.search(np.asarray(embeddings[rows]), _NEIGHBOURS)
            positions[rows] = interpolate(projected, neighbours)
    return positions


def interpolate(positions: Float[np.ndarray, "n 2"], neighbours: Neighbours) -> Float[np.ndarray, "q 2"]:
    """Average the positions of each query's nearest neighbours, weighted by inverse distance."""
    distances = neighbours.distances[:, :_NEIGHBOURS]
    weights = 1 / np.maximum(distances, 1e-9 + 1e-6 * distances.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.einsum("qk,qkc->qc", weights, positions[neighbours.rows[:, :_NEIGHBOURS]])
