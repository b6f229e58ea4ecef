"""t-SNE: a picture of an embedding in two dimensions, and how far it can be trusted."""

import numpy as np
from jaxtyping import Float

from jaxembed.kernels import space
from jaxembed.metrics import Column

POSITION = 80
COLUMNS = (
    Column(
        "trustworthiness",
        label="t-SNE trust",
        better=0,
        percent=False,
        table="geometry",
        meaning="Share of neighbourhoods kept in the t-SNE picture.",
    ),
)


def project(points: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Project points to two dimensions by scikit-learn's t-SNE, the same each time.

    Returns:
      the picture, and its trustworthiness (Venna & Kaski 2001, as scikit-learn's, with 10 neighbours where there
      are enough points): 0 to 1.
    """
    # Imported here: scikit-learn takes a second, and training does without it.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, trustworthiness
    from threadpoolctl import threadpool_limits

    n, d = points.shape
    points = _scaled(points)
    # Points that are all equal have no principal axes.
    axes = bool(points.any())
    # 50 dimensions first, as the method's author does; more only make it slower.
    reduced = PCA(50, random_state=0).fit_transform(points) if axes and min(n, d) > 50 else points
    init = "pca" if axes and min(n, d) > 1 else "random"
    # One thread: several wait for each other by spinning, which takes 50 times as long while another job runs.
    with threadpool_limits(1, user_api="openmp"):
        picture = TSNE(perplexity=min(30, (n - 1) / 3), init=init, random_state=0).fit_transform(reduced)
    # Defined for fewer than n / 2 neighbours; two points have none to lose.
    kept = min(10, (n - 1) // 2)
    return picture, float(trustworthiness(points, picture, n_neighbors=kept)) if kept else 1.0


def _scaled(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Move points around 0 and scale them to 1 at most, which changes no picture; zeros if they are all equal.

    scikit-learn divides by what rounds to 0 in small points, and its t-SNE then crashes.
    """
    points = points.astype(np.float32)
    points = points - points.mean(axis=0, keepdims=True, dtype=np.float64)
    if space.are_zero(points):
        return np.zeros(points.shape, np.float32)
    return (points / np.abs(points).max()).astype(np.float32)
