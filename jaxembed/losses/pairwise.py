"""Pairwise losses: how far apart two rows should be, by whether they share a class."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxembed.losses import numerics

# Triplets whose costs are held at a time: 256 MB with their gradients.
TRIPLETS = 2**24


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
    of |x|² + |y|², so a pair with a smaller squared distance counts as coinciding, and a row that is far from all
    others blurs theirs: a run warns where its rows are more than `collapse.MOST_SPREAD` margins apart. Where that
    sum overflows, the squared distance is infinite.

    Args:
      embeddings: [n, d] float.
      same: [n, n] bool, True where both rows are in the same class.
      margin: > 0, in the units of the embedding.
    Returns:
      [n, n] float, symmetric; the diagonal pairs each row with itself.
    Raises:
      ValueError: if the margin is not positive.
    """
    return _margin(_squared_distances(embeddings), same, margin)


def triplet(embeddings: Float[Array, "n d"], labels: Int[Array, " n"]) -> Float[Array, " n"]:
    """Make each row's farthest row of its class nearer than its nearest row of another, by a soft margin.

    Row i costs log(1 + exp(a - b)), where a is its largest Euclidean distance to a row of its class and b its
    smallest to one of another. A row without the one or the other costs 0, and the rest as much more as makes the
    mean over all rows that over the rest. Distances are those of `margin_pairs`.

    Args:
      embeddings: [n, d] float.
      labels: [n] int.
    Returns:
      [n] float32, >= 0; log 2 where the two distances are equal, which is also where all rows are; infinite, with
      a finite gradient, where a² overflows.
    Source: Hermans et al. 2017, eq. (5) with the soft margin of section 3.1, arXiv:1703.07737.
    """
    squared = _squared_distances(embeddings.astype(jnp.float32))
    equal = labels[:, None] == labels[None, :]
    same = equal & ~jnp.eye(len(labels), dtype=bool)
    farthest = jnp.max(jnp.where(same, squared, 0), axis=1)
    nearest = jnp.min(jnp.where(equal, jnp.inf, squared), axis=1)
    there = jnp.any(same, axis=1) & ~jnp.all(equal, axis=1)
    finite = there & jnp.isfinite(farthest) & jnp.isfinite(nearest)
    near, far = (numerics.safe_sqrt(jnp.where(finite, each, 0)) for each in (nearest, farthest))
    beyond = jnp.where(jnp.isinf(farthest), jnp.inf, 0)
    return numerics.mean_over(jnp.where(finite, jax.nn.softplus(far - near), beyond), there)


def all_triplets(embeddings: Float[Array, "n d"], labels: Int[Array, " n"]) -> Float[Array, " n"]:
    """Make each row nearer to every row of its class than to every row of another, by a soft margin.

    A row, one of its class at the distance a and one of another at b cost log(1 + exp(a - b)); the mean over all
    such triplets is the mean of what is returned. There are up to n³ of them, so n is best kept to some hundreds.

    Args:
      embeddings: [n, d] float.
      labels: [n] int.
    Returns:
      [n] float32, >= 0; on average log 2 where all rows are equal; infinite where a² overflows.
    Source: Hermans et al. 2017, eq. (6) with the soft margin of section 3.1, arXiv:1703.07737.
    """
    squared = _squared_distances(embeddings.astype(jnp.float32))
    equal = labels[:, None] == labels[None, :]
    same = equal & ~jnp.eye(len(labels), dtype=bool)
    usable = jnp.all(jnp.isfinite(squared), axis=1)
    distances = numerics.safe_sqrt(jnp.where(usable[:, None], squared, 0))
    # Computed again for the gradient, and some rows at a time, so that memory never holds all n³.
    some = max(1, TRIPLETS // len(labels) ** 2)
    costs = jax.lax.map(jax.checkpoint(_of_a_row), (distances, same, ~equal), batch_size=some)
    count = jnp.sum(jnp.sum(same, axis=1) * jnp.sum(~equal, axis=1))
    return jnp.where(usable, costs * (len(labels) / jnp.maximum(1, count)), jnp.inf)


def _of_a_row(row: tuple[Float[Array, " n"], Bool[Array, " n"], Bool[Array, " n"]]) -> Float[Array, ""]:
    """Add up the costs of a row's triplets: its distances, and which rows are of its class and of others."""
    distances, same, others = row
    costs = jax.nn.softplus(distances[:, None] - distances[None, :])
    return jnp.sum(jnp.where(same[:, None] & others[None, :], costs, 0))


def _squared_distances(embeddings: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """Compute the squared distances of all pairs as `margin_pairs` says."""
    embeddings = embeddings - jnp.mean(embeddings, axis=0, keepdims=True)
    lengths = jnp.sum(jnp.square(embeddings), axis=1)
    lengths = lengths[:, None] + lengths[None, :]
    # Full float32: subtracting nearly equal numbers would leave no correct digits in TF32 or bfloat16.
    squared = lengths - 2 * jnp.matmul(embeddings, embeddings.T, precision="highest")
    squared = jnp.where(squared > 1e-6 * lengths, squared, 0)
    # Beyond float32, the difference above is NaN, and a run that has diverged would seem to have no loss.
    return jnp.where(jnp.isinf(lengths), jnp.inf, squared)


def _margin(squared: Float[Array, "..."], same: Bool[Array, "..."], margin: float) -> Float[Array, "..."]:
    if margin <= 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    shortfall = jnp.maximum(0, margin - numerics.safe_sqrt(squared))
    return 0.5 * jnp.where(same, squared, jnp.square(shortfall))
