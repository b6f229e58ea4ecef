"""Chunks: gradients of a loss that compares more rows than the network can process at once.

The rows are embedded in chunks, of which only the outputs are kept. The loss over all rows gives a gradient for
each output. Then each chunk is embedded again, and this gradient goes back through it: every row is embedded twice,
and the memory is that of one chunk.

Source: Gao et al. 2021, arXiv:2101.06983, section 3.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.types import Images, Outputs

# (parameters, rows, key of the dropout) -> (outputs, statistics of BatchNorm)
Forward = Callable[[Any, Images, Key], tuple[Outputs, Any]]
# Outputs of all rows -> (loss, auxiliary values)
Loss = Callable[[Outputs], tuple[jax.Array, Any]]


def gradients(
    forward: Forward, loss: Loss, params: Any, rows: Images, key: Key, *, size: int, devices: jax.sharding.Mesh
) -> tuple[Any, Any, Any]:
    """Compute the gradients of a loss over all rows with respect to the parameters.

    Args:
      forward: the network.
      loss: the loss of the outputs of all rows.
      params: the network's parameters.
      rows: [n, ...], all that the loss compares.
      key: the dropout's key; each chunk gets a key of its own.
      size: rows of a chunk, a multiple of the devices that divides n.
      devices: each has an equal part of every chunk.

    Returns:
      the gradients; the loss's auxiliary values; the mean of the chunks' statistics.
    """
    chunks = _divided(rows, size, devices)
    count = len(chunks)
    chunk_keys = jax.random.split(key, count)
    joined, _ = outputs(forward, params, rows, key, size=size, devices=devices)
    slopes, others = jax.grad(loss, has_aux=True)(joined)
    slopes = jax.tree.map(lambda slope: _divided(slope, size, devices), slopes)

    def add(total: Any, chunk: tuple[Images, Key, Outputs]) -> tuple[Any, None]:
        images, chunk_key, slope = chunk
        _, back, stats = jax.vjp(lambda params: forward(params, images, chunk_key), params, has_aux=True)
        return jax.tree.map(jnp.add, total, (back(slope)[0], stats)), None

    shapes = jax.eval_shape(forward, params, chunks[0], key)[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), (params, shapes))
    (gradient, stats), _ = lax.scan(add, zeros, (chunks, chunk_keys, slopes))
    return gradient, others, jax.tree.map(lambda total: total / count, stats)


def outputs(
    forward: Forward, params: Any, rows: Images, key: Key, *, size: int, devices: jax.sharding.Mesh
) -> tuple[Outputs, Any]:
    """Compute the outputs of all rows and the mean of the chunks' statistics; the arguments as in `gradients`."""
    chunks = _divided(rows, size, devices)
    chunk_keys = jax.random.split(key, len(chunks))
    _, (made, stats) = lax.scan(lambda _, chunk: (None, forward(params, *chunk)), None, (chunks, chunk_keys))
    joined = jax.tree.map(partial(_joined, devices=devices), made)
    return joined, jax.tree.map(partial(jnp.mean, axis=0), stats)


def _divided(rows: jax.Array, size: int, devices: jax.sharding.Mesh) -> jax.Array:
    """Divide rows [n, ...] into chunks [k, size, ...], each of which has rows from every device."""
    parts = rows.reshape(devices.size, -1, size // devices.size, *rows.shape[1:])
    return mesh.split(devices, parts.swapaxes(0, 1).reshape(-1, size, *rows.shape[1:]), axis=1)


def _joined(chunks: jax.Array, devices: jax.sharding.Mesh) -> jax.Array:
    """Undo `_divided`."""
    parts = chunks.reshape(len(chunks), devices.size, -1, *chunks.shape[2:])
    return mesh.split(devices, parts.swapaxes(0, 1).reshape(-1, *chunks.shape[2:]))
