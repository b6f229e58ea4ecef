"""Rows in chunks: apply a compiled function to more rows than it should process at once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def apply(function: Callable[[Any], Any], rows: Any, *, size: int) -> Any:
    """Apply a function to rows in chunks of equal size and concatenate the results, exactly one for each row.

    The last chunk is padded with copies of the last row, whose results are dropped: one shape, one compilation, no
    row lost.

    Args:
      function: arrays [size, ...] -> arrays [size, ...], row by row.
      rows: an array [n, ...] or a tree of such arrays, on the host.
      size: rows in a chunk, > 0.
    Returns:
      NumPy arrays [n, ...].
    """
    n = len(jax.tree.leaves(rows)[0])
    chunks = [np.minimum(np.arange(start, start + size), n - 1) for start in range(0, n, size)]
    results = []
    for chunk in chunks:
        results.append(function(jax.tree.map(lambda array: array[chunk], rows)))  # noqa: B023
        # One is computed while the one before it is fetched; a CPU that is given more of them at a time is slower.
        results[-2:-1] = [_fetched(result) for result in results[-2:-1]]
    results[-1] = _fetched(results[-1])
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *results)


def _fetched(result: Any) -> Any:
    return jax.tree.map(np.asarray, result)
