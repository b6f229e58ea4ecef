"""Rows in chunks: apply a compiled function to more rows than it should process at once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def chunked(function: Callable[[Any], Any], rows: Any, *, size: int) -> Any:
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
    results = [function(jax.tree.map(lambda array: array[chunk], rows)) for chunk in chunks]  # noqa: B023
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:n], *results)
