"""Log-sum-exp of each row's similarities to all other rows, without the matrix of them.

With unit rows z, temperature τ and s_ij = z_i·z_j / τ, row i's value is L_i = log Σ_{j≠i} exp(s_ij). The matrix is
symmetric: a tile of it serves its rows and its columns, so only the upper triangle is computed. The backward pass
computes the tiles again. With g_i = ∂/∂L_i and p_ij = exp(s_ij - L_i),

  τ ∂/∂z_i = Σ_j (g_i p_ij + g_j p_ji) z_j.

By the symmetry that takes 4n²d multiplications where the plain form takes 6n²d; and it needs memory for a tile, not
for n² numbers in every copy of the matrix.

Unit rows bound s by c = 1/τ, so that exp(s - c) serves the rows and the columns of a tile. For τ below `BOUNDED`,
where it could underflow in a whole row, each row's maximum so far takes the place of c.

Over several devices each keeps its rows, and the rows of the others pass by in a ring. That cannot use the
symmetry: 6n²d multiplications, divided among the devices.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxembed.devices import mesh

# exp(-2 / 0.025) = 2e-35 is still a normal float32.
BOUNDED = 0.025
# A logit that counts for nothing; finite, because -inf - -inf is no number.
_MASKED = -1e30


class Rows(NamedTuple):
    """Some rows, in what follows with a leading axis of tiles.

    Attributes:
      directions: rows of unit length, or zeros.
      places: the rows' indices; n for rows that only fill up the last tile.
    """

    directions: Float[Array, "*tiles m d"]
    places: Int[Array, "*tiles m"]


class Sums(NamedTuple):
    """Of exp(s - shift), one for each row."""

    shift: Float[Array, "*tiles m"]
    total: Float[Array, "*tiles m"]


class Slopes(NamedTuple):
    """What the backward pass knows of a row: its value L, and the gradient g with respect to it."""

    value: Float[Array, "*tiles m"]
    gradient: Float[Array, "*tiles m"]


def of_others(directions: Float[Array, "n d"], *, temperature: float, tile: int) -> Float[Array, " n"]:
    """Compute the log-sum-exp of each row's similarities to the others.

    Args:
      directions: float32, rows of unit length or of zeros; at least 2.
      temperature: > 0.
      tile: rows and columns of the matrix that are in memory at a time, on each device.

    Returns:
      [n] float32.
    """
    if not mesh.divides(len(directions)):
        return _triangle(directions, temperature, tile)
    devices = mesh.size()
    return mesh.by_rows(lambda own: _ring(own, temperature, tile, devices))(directions)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _triangle(directions: Array, temperature: float, tile: int) -> Array:
    return _triangle_forward(directions, temperature, tile)[0]


def _triangle_forward(directions: Array, temperature: float, tile: int) -> tuple[Array, tuple[Array, Array]]:
    n = len(directions)
    tiles = _tiled(Rows(directions, jnp.arange(n)), tile, n)

    def add(sums: Sums, pair: tuple[Array, Array]) -> tuple[Sums, None]:
        first, second = pair
        logits = _logits(_at(tiles, first), _at(tiles, second), temperature, n)
        of_rows, of_columns = _add_both(_at(sums, first), _at(sums, second), logits, temperature)
        # On the diagonal they are the same.
        return _put(_put(sums, first, of_rows), second, of_columns), None

    sums, _ = lax.scan(add, _zeros(tiles.places.shape, temperature), jnp.triu_indices(len(tiles.places)))
    values = _values(sums).reshape(-1)[:n]
    return values, (directions, values)


def _triangle_backward(
    temperature: float, tile: int, kept: tuple[Array, Array], gradient: Array
) -> tuple[Float[Array, "n d"]]:
    directions, values = kept
    n = len(directions)
    tiles, slopes = _tiled((Rows(directions, jnp.arange(n)), Slopes(values, gradient)), tile, n)

    def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        first, second = pair
        rows, columns = _at(tiles, first), _at(tiles, second)
        logits = _logits(rows, columns, temperature, n)
        weights = _weights(logits, _at(slopes, first), _at(slopes, second), temperature)
        total = total.at[first].add(weights @ columns.directions)
        return total.at[second].add(jnp.where(first == second, 0, weights.T @ rows.directions)), None

    total, _ = lax.scan(add, jnp.zeros_like(tiles.directions), jnp.triu_indices(len(tiles.places)))
    return (total.reshape(-1, directions.shape[1])[:n] / temperature,)


_triangle.defvjp(_triangle_forward, _triangle_backward)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _ring(directions: Array, temperature: float, tile: int, devices: int) -> Array:
    """Compute the values of one device's rows, inside `mesh.by_rows`."""
    return _ring_forward(directions, temperature, tile, devices)[0]


def _ring_forward(
    directions: Array, temperature: float, tile: int, devices: int
) -> tuple[Array, tuple[Array, Array]]:
    own, n = _own(directions), len(directions) * devices

    def add(sums: Sums, others: Rows) -> tuple[Sums, None]:
        return _add(sums, _logits(own, others, temperature, n), temperature), None

    values = _values(_passed(add, _zeros(own.places.shape, temperature), _tiled(own, tile, n), devices))
    return values, (directions, values)


def _ring_backward(
    temperature: float, tile: int, devices: int, kept: tuple[Array, Array], gradient: Array
) -> tuple[Float[Array, "n d"]]:
    directions, values = kept
    own, slopes, n = _own(directions), Slopes(values, gradient), len(directions) * devices

    def add(total: Array, others: tuple[Rows, Slopes]) -> tuple[Array, None]:
        columns, theirs = others
        weights = _weights(_logits(own, columns, temperature, n), slopes, theirs, temperature)
        return total + weights @ columns.directions, None

    return (_passed(add, jnp.zeros(directions.shape), _tiled((own, slopes), tile, n), devices) / temperature,)


_ring.defvjp(_ring_forward, _ring_backward)


def _own(directions: Array) -> Rows:
    return Rows(directions, mesh.index() * len(directions) + jnp.arange(len(directions)))


def _passed(add, total, tiles, devices: int):
    """Scan the tiles of every device: they go from each to the next, so that all come past."""

    def visit(_: Array, carry):
        total, tiles = carry
        return lax.scan(add, total, tiles)[0], mesh.to_next(tiles, devices)

    return lax.fori_loop(0, devices, visit, (total, tiles))[0]


def _tiled(tree, tile: int, n: int):
    """Divide the rows of every array into tiles; the last is filled up with rows at place n."""

    def divide(rows: Array) -> Array:
        missing = -len(rows) % min(tile, len(rows))
        filling = n if jnp.issubdtype(rows.dtype, jnp.integer) else 0
        rows = jnp.pad(rows, ((0, missing), *((0, 0),) * (rows.ndim - 1)), constant_values=filling)
        return rows.reshape(-1, min(tile, len(rows)), *rows.shape[1:])

    return jax.tree.map(divide, tree)


def _logits(rows: Rows, columns: Rows, temperature: float, n: int) -> Float[Array, "m k"]:
    i, j = rows.places[:, None], columns.places[None, :]
    similarities = rows.directions @ columns.directions.T / temperature
    return jnp.where((i == j) | (i == n) | (j == n), _MASKED, similarities)


def _zeros(shape: tuple[int, ...], temperature: float) -> Sums:
    shift = 1 / temperature if temperature >= BOUNDED else _MASKED
    return Sums(jnp.full(shape, shift, jnp.float32), jnp.zeros(shape, jnp.float32))


def _add(sums: Sums, logits: Float[Array, "m k"], temperature: float) -> Sums:
    if temperature >= BOUNDED:
        return sums._replace(total=sums.total + jnp.exp(logits - 1 / temperature).sum(axis=1))
    shift = jnp.maximum(sums.shift, logits.max(axis=1))
    total = sums.total * jnp.exp(sums.shift - shift) + jnp.exp(logits - shift[:, None]).sum(axis=1)
    return Sums(shift, total)


def _add_both(
    of_rows: Sums, of_columns: Sums, logits: Float[Array, "m k"], temperature: float
) -> tuple[Sums, Sums]:
    if temperature < BOUNDED:
        return _add(of_rows, logits, temperature), _add(of_columns, logits.T, temperature)
    exponentials = jnp.exp(logits - 1 / temperature)  # once for both
    totals = of_rows.total + exponentials.sum(axis=1), of_columns.total + exponentials.sum(axis=0)
    return of_rows._replace(total=totals[0]), of_columns._replace(total=totals[1])


def _values(sums: Sums) -> Array:
    return sums.shift + jnp.log(sums.total)


def _weights(
    logits: Float[Array, "m k"], of_rows: Slopes, of_columns: Slopes, temperature: float
) -> Float[Array, "m k"]:
    """Compute g_i p_ij + g_j p_ji."""
    if temperature < BOUNDED:
        by_row = of_rows.gradient[:, None] * jnp.exp(logits - of_rows.value[:, None])
        return by_row + of_columns.gradient[None, :] * jnp.exp(logits - of_columns.value[None, :])
    shift = 1 / temperature
    row, column = (slopes.gradient * jnp.exp(shift - slopes.value) for slopes in (of_rows, of_columns))
    return jnp.exp(logits - shift) * (row[:, None] + column[None, :])


def _at(tree, index: Array):
    return jax.tree.map(lambda array: array[index], tree)


def _put(tree, index: Array, values):
    return jax.tree.map(lambda array, value: array.at[index].set(value), tree, values)
