"""Losses: arrays in, one value per row out; the caller takes the mean."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxembed.kernels import logsumexp


def l1(prediction: Float[Array, "n ..."], target: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Mean absolute error of each row over all its other axes.

    Its minimiser is the conditional median given the code, not the mean: edges stay sharp where squared error
    blurs them. The drawback is a trap: for pixels that are 0 in most images, like most of MNIST's, predicting black
    is a stationary point.

    Args:
      prediction: [n, ...] float.
      target: the same shape.
    Returns:
      [n] float, in the units of the pixels, >= 0.
    Raises:
      ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target must have equal shapes, got {prediction.shape} and {target.shape}")
    return jnp.mean(jnp.abs(prediction - target), axis=tuple(range(1, prediction.ndim)))


def cross_entropy(
    logits: Float[Array, "n k"], labels: Int[Array, " n"], *, smoothing: float = 0.0
) -> Float[Array, " n"]:
    """Negative log-probability of each row's class under the softmax of its logits.

    Computed as log-sum-exp minus the logit, which neither overflows nor takes the log of 0.

    Args:
      logits: [n, k] float, unnormalised.
      labels: [n] int in 0..k-1.
      smoothing: in [0, 1], the share of the target that is spread evenly over all k classes, including the row's
        own.
    Returns:
      [n] float, nats per row, >= 0; log(k) where all logits are equal.
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


def ntxent(embeddings: Float[Array, "n d"], *, temperature: float) -> Float[Array, " n"]:
    """Normalised temperature-scaled cross-entropy: find each row's other view among all other rows.

    Rows i and i + n/2 are two views of the same image, so each is the other's positive; the remaining n - 2 rows
    are the negatives. Row i's loss is -log softmax_j(cos(i, j) / temperature) at its positive, j ≠ i. All
    similarities come from one [n, n] matmul; a row of zeros has similarity 0 and a finite gradient, and so, nearly,
    has a row shorter than 1e-12.

    Args:
      embeddings: [n, d] float, of any scale: only their directions matter.
      temperature: > 0, dimensionless; 0.5 in the source for CIFAR-10.
    Returns:
      [n] float32, nats per row, >= 0; log(n - 1) where all similarities are equal.
    Raises:
      ValueError: if n is odd or 0, or the temperature is not positive.
    Source: Chen et al. 2020, eq. (1), arXiv:2002.05709.
    """
    directions = _directions(embeddings, temperature)
    n = len(directions)
    similarities = directions @ directions.T / temperature
    logits = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, similarities)
    # Row i's positive is its other view, n/2 rows away; eq. (1) of Chen et al. 2020.
    partner = jnp.roll(jnp.arange(n), n // 2)
    return cross_entropy(logits, partner)


def ntxent_tiled(embeddings: Float[Array, "n d"], *, temperature: float, tile: int) -> Float[Array, " n"]:
    """Compute `ntxent` in tiles: the same values and gradients, without the [n, n] matrix.

    Row i's loss is log Σ_{j≠i} exp(cos(i, j) / temperature), which kernels/logsumexp.py sums over tiles and, inside
    `mesh.around`, over the devices, minus the positive's cosine over the temperature.

    Args:
      embeddings: [n, d] float, as in `ntxent`.
      temperature: > 0, dimensionless.
      tile: >= 1, rows and columns of the matrix that are in memory at a time; it need not divide n.
    Returns:
      [n] float32, nats per row, as `ntxent`.
    Raises:
      ValueError: if n is odd or 0, or the temperature or the tile is not positive.
    Source: Chen et al. 2020, eq. (1), arXiv:2002.05709.
    """
    directions = _directions(embeddings, temperature)
    if tile < 1:
        raise ValueError(f"tile must be >= 1, got {tile}")
    positives = jnp.sum(directions * jnp.roll(directions, len(directions) // 2, axis=0), axis=1) / temperature
    return logsumexp.of_others(directions, temperature=temperature, tile=tile) - positives


def _directions(embeddings: Float[Array, "n d"], temperature: float) -> Float[Array, "n d"]:
    """Check what NT-Xent is given, and scale its rows to unit length."""
    n = len(embeddings)
    if n == 0 or n % 2:
        raise ValueError(f"embeddings must have an even number of rows > 0, two views of each image; got {n} rows")
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    # In float32, because half precision is not enough for a mask and a log-sum-exp over thousands of rows.
    return _normalise(embeddings.astype(jnp.float32))


def margin(
    first: Float[Array, "*#n d"], second: Float[Array, "*#n d"], same: Bool[Array, "*#n"], *, margin: float
) -> Float[Array, "*#n"]:
    """Pull pairs in the same class together, and push other pairs at least `margin` apart.

    A pair at Euclidean distance d costs ½ d² if both are in the same class, else ½ max(0, margin - d)². Leading
    axes broadcast, so [n, 1, d] against [1, n, d] scores every pair in a batch. Where the two points of a pair
    coincide, the distance has no gradient: it is taken as 0 there, not NaN.

    Args:
      first: [..., d] float.
      second: [..., d] float.
      same: [...] bool, True where both are in the same class.
      margin: > 0, in the units of the embedding; Euclidean, not cosine.
    Returns:
      [...] float, >= 0, in squared units of the embedding; infinite, with a finite gradient, where d² overflows.
    Raises:
      ValueError: if the margin is not positive.
    Source: Hadsell et al. 2006, eq. (4), with Y = 0 for a pair in the same class.
    """
    return _margin(jnp.sum(jnp.square(first - second), axis=-1), same, margin)


def margin_pairs(
    embeddings: Float[Array, "n d"], same: Bool[Array, "n n"], *, margin: float
) -> Float[Array, "n n"]:
    """Score every pair of n rows with `margin`, with distances from one matmul instead of an [n, n, d] array.

    The squared distances are |x|² + |y|² - 2 x·y, relative to the mean row. Rounding leaves an error of a millionth
    of |x|² + |y|², so a pair with a smaller squared distance counts as coinciding; where that sum overflows, the
    squared distance is infinite.

    Args:
      embeddings: [n, d] float.
      same: [n, n] bool, True where both rows are in the same class.
      margin: > 0, in the units of the embedding.
    Returns:
      [n, n] float, symmetric; the diagonal pairs each row with itself.
    Raises:
      ValueError: if the margin is not positive.
    """
    embeddings = embeddings - jnp.mean(embeddings, axis=0, keepdims=True)
    lengths = jnp.sum(jnp.square(embeddings), axis=1)
    lengths = lengths[:, None] + lengths[None, :]
    # Full float32: subtracting nearly equal numbers would leave no correct digits in TF32 or bfloat16.
    squared = lengths - 2 * jnp.matmul(embeddings, embeddings.T, precision="highest")
    squared = jnp.where(squared > 1e-6 * lengths, squared, 0)
    # Beyond float32, the difference above is NaN, and a run that has diverged would seem to have no loss.
    return _margin(jnp.where(jnp.isinf(lengths), jnp.inf, squared), same, margin)


def _margin(squared: Float[Array, "..."], same: Bool[Array, "..."], margin: float) -> Float[Array, "..."]:
    if margin <= 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    shortfall = jnp.maximum(0, margin - _safe_sqrt(squared))
    return 0.5 * jnp.where(same, squared, jnp.square(shortfall))


def _normalise(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    # The squares of larger numbers overflow, and every direction would be 0. The scale, which no direction depends
    # on, needs no gradient.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    rows = rows / jnp.where(largest > 1e15, largest, 1)
    norms = _safe_sqrt(jnp.sum(jnp.square(rows), axis=-1, keepdims=True))
    return rows / jnp.maximum(norms, 1e-12)


def _safe_sqrt(squares: Float[Array, "..."]) -> Float[Array, "..."]:
    # sqrt has an infinite slope at 0; masking its argument as well makes the gradient 0 there, not NaN.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)
