"""Rows by the chunk: a compiled function over more rows than it should see at once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def chunked(function: Callable[[Any], Any], rows: Any, *, size: int) -> Any:
    """Apply a function to rows in chunks of one size and join what comes out, exactly one row for each.

    The last chunk is filled up with copies of the last row, whose results are dropped: one shape, one
    compilation, no row lost.

    Args:
      function: arrays of [size, ...] -> arrays of [size, ...], row by row.
      rows: an array [n, ...] or a tree of such, on the host.
      size: > 0.
    Returns:
      NumPy arrays of [n, ...].
    """
    n = len(jax.tree.leaves(rows)[0])
    chunks = [np.minimum(np.arange(start, start + size), n - 1) for start in range(0, n, size)]
    results = [function(jax.tree.map(lambda array: array[chunk], rows)) for chunk in chunks]  # noqa: B023
    return jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts])[:n], *results)
