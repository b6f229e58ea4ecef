"""Losses: arrays in, one value per row out; the caller takes the mean."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def l1(prediction: Float[Array, "n ..."], target: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Mean absolute error of each row over all its other axes.

    Its minimiser is the median, not the mean, of what the code leaves open: edges stay sharp where
    squared error blurs them. The price is a trap: of pixels that are 0 in most images, as most of MNIST's are,
    black is a stationary point.

    Args:
      prediction: [n, ...] float.
      target: the same shape.
    Returns:
      [n] float, in the units of the pixels, >= 0.
    Raises:
      ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"l1 needs equal shapes, got {prediction.shape} and {target.shape}")
    return jnp.mean(jnp.abs(prediction - target), axis=tuple(range(1, prediction.ndim)))


def cross_entropy(
    logits: Float[Array, "n k"], labels: Int[Array, " n"], *, smoothing: float = 0.0
) -> Float[Array, " n"]:
    """Negative log-probability of each row's class under the softmax of its logits.

    Computed as log-sum-exp minus the logit, which neither overflows nor takes the log of 0.

    Args:
      logits: [n, k] float, unnormalised.
      labels: [n] int in 0..k-1.
      smoothing: in [0, 1], the share of the target that is spread over all k classes, the row's own among them.
    Returns:
      [n] float, nats a row, >= 0; log(k) where all logits are equal.
    """
    if not smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, targets)


def ntxent(embeddings: Float[Array, "n d"], *, temperature: float) -> Float[Array, " n"]:
    """Normalised temperature-scaled cross-entropy: find each row's other view among all other rows.

    Rows i and i + n/2 are two views of one image and each other's positive; the n - 2 other rows are the
    negatives. Row i's loss is -log softmax_j(cos(i, j) / temperature) at its positive, j ≠ i. Similarities
    come from one [n, n] matmul, and a row of zeros has similarity 0 and a finite gradient.

    Args:
      embeddings: [n, d] float; any scale, only directions count.
      temperature: > 0, dimensionless; 0.5 in the source for CIFAR-10.
    Returns:
      [n] float32, nats a row, >= 0; log(n - 1) where all similarities are equal.
    Raises:
      ValueError: if n is odd or 0, or the temperature is not positive.
    Source: Chen et al. 2020, eq. (1), arXiv:2002.05709.
    """
    n = len(embeddings)
    if n == 0 or n % 2:
        raise ValueError(f"ntxent needs an even number of rows, two views of each image, got {n}")
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    # float32: a mask and a log-sum-exp over thousands of rows do not fit half precision.
    directions = _normalise(embeddings.astype(jnp.float32))
    similarities = directions @ directions.T / temperature
    logits = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, similarities)
    # Row i's positive is its other view, n/2 rows away; eq. (1) of Chen et al. 2020.
    partner = jnp.roll(jnp.arange(n), n // 2)
    return cross_entropy(logits, partner)


def margin(
    first: Float[Array, "*#n d"], second: Float[Array, "*#n d"], same: Bool[Array, "*#n"], *, margin: float
) -> Float[Array, "*#n"]:
    """Pull pairs of one class together, push other pairs at least `margin` apart.

    A pair at Euclidean distance d costs ½ d² if it is of one class, else ½ max(0, margin - d)². Leading
    axes broadcast, so [n, 1, d] against [1, n, d] scores every pair of a batch. Where a pair coincides
    its distance has no direction: the gradient there is 0, not NaN.

    Args:
      first: [..., d] float.
      second: [..., d] float.
      same: [...] bool, True where the pair is of one class.
      margin: > 0, in the units of the embedding; Euclidean, not cosine.
    Returns:
      [...] float, >= 0, the squared units of the embedding.
    Raises:
      ValueError: if the margin is not positive.
    Source: Hadsell et al. 2006, eq. (4), with Y = 0 for a pair of one class.
    """
    return _margin(jnp.sum(jnp.square(first - second), axis=-1), same, margin)


def margin_pairs(
    embeddings: Float[Array, "n d"], same: Bool[Array, "n n"], *, margin: float
) -> Float[Array, "n n"]:
    """Score every pair of n rows by `margin`, their distances from one matmul instead of an [n, n, d] array.

    In |x|² + |y|² - 2 x·y, taken about the mean row, rounding leaves a millionth of |x|² + |y|²: a pair that is
    nearer than that counts as coinciding.

    Args:
      embeddings: [n, d] float.
      same: [n, n] bool, True where the pair is of one class.
      margin: > 0, in the units of the embedding.
    Returns:
      [n, n] float, symmetric; on the diagonal each row with itself.
    Raises:
      ValueError: if the margin is not positive.
    """
    embeddings = embeddings - jnp.mean(embeddings, axis=0, keepdims=True)
    lengths = jnp.sum(jnp.square(embeddings), axis=1)
    lengths = lengths[:, None] + lengths[None, :]
    # Full float32: a difference of nearly equal numbers leaves nothing of TF32's or bfloat16's digits.
    squared = lengths - 2 * jnp.matmul(embeddings, embeddings.T, precision="highest")
    return _margin(jnp.where(squared > 1e-6 * lengths, squared, 0), same, margin)


def _margin(squared: Float[Array, "..."], same: Bool[Array, "..."], margin: float) -> Float[Array, "..."]:
    if margin <= 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    shortfall = jnp.maximum(0, margin - _safe_sqrt(squared))
    return 0.5 * jnp.where(same, squared, jnp.square(shortfall))


def _normalise(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    norms = _safe_sqrt(jnp.sum(jnp.square(rows), axis=-1, keepdims=True))
    return rows / jnp.maximum(norms, 1e-12)


def _safe_sqrt(squares: Float[Array, "..."]) -> Float[Array, "..."]:
    # sqrt has an infinite slope at 0; masking its argument too keeps the gradient 0 there, not NaN.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)
