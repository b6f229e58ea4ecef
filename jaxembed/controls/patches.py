"""Patches: how near the patch at each position is to each of a few hundred typical ones; no layers, no gradient.

Source: Coates, Lee & Ng 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS),
k-means (triangle), with the constants of the authors' program; 79.6% on CIFAR-10 with 4,000 centres and an SVM.
"""

import math
import warnings
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxembed.controls import Embed
from jaxembed.core.bounds import Width
from jaxembed.core.errors import InputError
from jaxembed.kernels import chunked, compiler

SMALLEST = dict(centres=5, side=3)
# Patches that the centres are found among, and the iterations of k-means at most.
DRAWN, ITERATIONS = 50_000, 50
# Added to the variance of a patch, of pixels in 0..255, and to the variances along the axes of all patches.
CONTRAST, AXES = 10, 0.1
# Distances held at a time.
HELD = 2**22


class Codebook(NamedTuple):
    """What is learned from patches of d numbers.

    Attributes:
      mean: [1, d] the mean of the normalised patches.
      whitening: [d, d] makes their covariance the identity, and moves them as little as possible (ZCA).
      centres: [k, d] the centres of the whitened patches.
    """

    mean: Float[np.ndarray, "1 d"]
    whitening: Float[np.ndarray, "d d"]
    centres: Float[np.ndarray, "k d"]


def fit(images: UInt8[np.ndarray, "n h w c"], seed: int, *, centres: Width = 400, side: Width = 6) -> Embed:
    """Find the centres among random patches.

    Args:
      images: the train images.
      seed: the seed of the draw and of k-means.
      centres: k, the number of centres; an image becomes 4·k numbers.
      side: the height and width of a patch.

    Raises:
      InputError: if the images are not larger than a patch, or have fewer patches than there are centres.
    """
    n, height, width, _ = images.shape
    if side >= min(height, width):
        raise InputError(f"patches.side must be less than the images' {min(height, width)} pixels, got {side}")
    if centres > (most := min(DRAWN, n * (height - side + 1) * (width - side + 1))):
        raise InputError(f"patches.centres must be at most {most}, the patches that are drawn, got {centres}")
    return partial(embed, learned(_drawn(images, side, np.random.default_rng(seed)), centres, seed), side)


def embed(book: Codebook, side: int, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
    """Sum the codes of the patches over each quadrant of an image: [n, 4·k], at least 0."""
    positions = (images.shape[1] - side + 1) * (images.shape[2] - side + 1)
    chunk = max(1, HELD // (positions * len(book.centres)))
    return chunked.apply(partial(_quadrants, side, book), images, size=min(chunk, len(images)))


def learned(patches: Float[np.ndarray, "m d"], centres: int, seed: int) -> Codebook:
    """Whiten patches whose contrast is normalised, and find their centres."""
    from sklearn.cluster import KMeans  # here, because it takes a second, and other controls do without it
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    patches = normalised(patches)
    mean = patches.mean(axis=0, keepdims=True)
    variances, axes = np.linalg.eigh(np.cov(patches - mean, rowvar=False).astype(np.float64))
    whitening = ((axes / np.sqrt(np.maximum(variances, 0) + AXES)) @ axes.T).astype(np.float32)
    kmeans = KMeans(centres, n_init=1, max_iter=ITERATIONS, random_state=seed)
    # One thread: with several, the order in which they add, and so the last digits, is left to chance.
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of images with fewer different patches than centres
        kmeans.fit((patches - mean) @ whitening)
    return Codebook(mean, whitening, kmeans.cluster_centers_)


def normalised(patches: Float[np.ndarray | Array, "m d"]) -> Float[np.ndarray | Array, "m d"]:
    """Normalise brightness and contrast: (x - mean) / sqrt(variance + 10)."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    return centred / (centred.var(axis=1, keepdims=True, ddof=1) + CONTRAST) ** 0.5


def _drawn(images: UInt8[np.ndarray, "n h w c"], side: int, random: np.random.Generator) -> np.ndarray:
    """Draw patches at random, as many from each image as from any other."""
    n, height, width, _ = images.shape
    tops, lefts = (random.integers(0, length - side + 1, DRAWN) for length in (height, width))
    corners = zip(np.arange(DRAWN) % n, tops, lefts, strict=True)
    patches = [images[row, top : top + side, left : left + side] for row, top, left in corners]
    return np.stack(patches).reshape(DRAWN, -1).astype(np.float32)


@partial(compiler.compiled, static_argnums=0)
def _quadrants(side: int, book: Codebook, raw: UInt8[Array, "n h w c"]) -> Float[Array, "n d"]:
    n, height, width, _ = raw.shape
    height, width = height - side + 1, width - side + 1
    # The pixels of each patch, row by row, as `_drawn` has them.
    shifted = [raw[:, y : y + height, x : x + width] for y in range(side) for x in range(side)]
    patches = jnp.concatenate(shifted, axis=3).reshape(n * height * width, -1).astype(jnp.float32)
    codes = _triangle((normalised(patches) - book.mean) @ book.whitening, book.centres)
    codes = codes.reshape(n, height, width, -1)
    middle, centre = math.ceil(height / 2), math.ceil(width / 2)
    halves = (codes[:, :middle], codes[:, middle:])
    parts = [part for half in halves for part in (half[:, :, :centre], half[:, :, centre:])]
    return jnp.concatenate([part.sum(axis=(1, 2)) for part in parts], axis=1)


def _triangle(patches: Float[Array, "m d"], centres: Float[Array, "k d"]) -> Float[Array, "m k"]:
    """Code each patch by how much nearer each centre is than the mean one: max(0, mean distance - distance)."""
    squares = (patches**2).sum(axis=1, keepdims=True) + (centres**2).sum(axis=1)[None]
    distances = jnp.sqrt(jnp.maximum(squares - 2 * patches @ centres.T, 0))
    return jnp.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)
