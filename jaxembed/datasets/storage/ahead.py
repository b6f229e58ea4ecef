"""Batches that are read ahead: while one is trained on, threads decode the next ones."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, UInt8

from jaxembed.types import Batch, OnDisk


def batches(
    images: UInt8[np.ndarray, "n h w c"] | OnDisk,
    labels: Int[np.ndarray, " n"],
    rows: Int[np.ndarray, " m"],
    *,
    size: int,
    ahead: int,
) -> Iterator[Batch]:
    """Read `images[rows]` and `labels[rows]` in batches, in this order, and the next batches in threads.

    Batch i holds the rows `rows[i * size : (i + 1) * size]`; rows that do not fill a last batch are left out. So
    `batches(images, labels, rows[start:], ...)` resumes at the row `start`, whatever was read before.

    Args:
      images: uint8 [n, h, w, c], in memory or on disk.
      labels: [n].
      rows: [m], the order to read in.
      size: rows in a batch, > 0.
      ahead: batches that are read before they are asked for, > 0; each takes a batch's memory.

    Returns:
      an iterator, which starts to read at once. Its `close()` stops the threads (`contextlib.closing`), which
      finish at most the batches that they are reading.

    Raises:
      InputError: by the iterator, at the batch with a record that cannot be read.
    """
    # Imported here because it takes most of a second, and images in memory do without it.
    import grain

    order = grain.MapDataset.source(rows).batch(size, drop_remainder=True)
    read = order.map(lambda chosen: Batch(images[chosen], labels[chosen]))
    options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead)
    iterator = iter(read.to_iter_dataset(options))
    iterator.start_prefetch()
    return iterator
