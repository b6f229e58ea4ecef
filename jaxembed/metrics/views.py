"""View invariance: how little augmentation changes an embedding. No labels are needed."""

import numpy as np
from jaxtyping import Float

from jaxembed.kernels import space
from jaxembed.metrics import Column, Measure, Measured, Rows

POSITION = 73
COLUMNS = (
    Column(
        "view_alignment",
        label="view alignment",
        better=0,
        percent=False,
        table="views",
        meaning="Mean squared distance between two views of an image, on the unit sphere; also 0 after a collapse.",
    ),
    Column(
        "view_agreement",
        label="shared neighbours %",
        better=0,
        percent=True,
        table="views",
        meaning="Share of an image's nearest neighbours that its two views have in common.",
    ),
)


def fit(train: Rows, *, neighbours: int, distance: str) -> Measure:
    """Make the measure of a split's pairs of views; without pairs it returns no numbers."""

    def measure(rows: Rows) -> Measured:
        if rows.pair is None:
            return Measured({})
        shared = agreement(*rows.pair, neighbours=neighbours, distance=distance)
        return Measured({"view_alignment": alignment(*rows.pair), "view_agreement": shared})

    return measure


def alignment(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]) -> float:
    """Compute the mean squared distance between an image's two views on the unit sphere.

    Returns:
      0 to 4; 0 if the two views of each image have the same direction.

    Source: Wang & Isola 2020, section 4.1 with alpha = 2, arXiv:2005.10242.
    """
    apart = space.directions(first) - space.directions(second)
    return float(np.einsum("nd,nd->n", apart, apart).mean(dtype=np.float64))


def agreement(
    first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"], *, neighbours: int, distance: str
) -> float:
    """Compute the share of an image's k nearest neighbours that its two views have in common.

    The neighbours of a first view are searched for among the first views, those of a second view among the second.

    Args:
      first: [n, d] embeddings of one view of each image.
      second: [n, d] embeddings of another view of the same images.
      neighbours: k; at most n - 1 are used.
      distance: "cosine" or "euclidean".

    Returns:
      0 to 1; about k / n by chance, 1 if both views have the same neighbours.
    """
    from jaxembed.kernels import nearest  # here, because it imports jax

    n = len(first)
    k = min(neighbours, n - 1)
    nearby = [nearest.find(views, views, neighbours=k + 1, distance=distance) for views in (first, second)]
    nearby = [each[space.others(each, np.arange(n))].reshape(n, k) for each in nearby]
    rows = np.arange(n)[:, None] * n  # makes an image's neighbours distinct from those of all other images
    return float(np.isin(rows + nearby[0], rows + nearby[1]).mean())
