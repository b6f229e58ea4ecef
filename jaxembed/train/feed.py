"""Feeds: where a call of the step gets its images: on the devices, or from disk, read ahead.

Both give the same batches: step s takes the rows s·b to (s + 1)·b of its epoch's permutation.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Int, UInt8

from jaxembed.core import keys
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.run.run import Run
from jaxembed.types import Batch, OnDisk

# Bytes of the batches that go to the devices for one call.
CALL = 256e6
# Batches that are read before they are needed, beyond those of one call.
AHEAD = 8


class Epoch(NamedTuple):
    """All train images, [n, ...], and the epoch's order of them: step s takes the rows s·b to (s + 1)·b of it."""

    images: Batch
    order: Int[Array, " n"]


class Window(NamedTuple):
    """The batches of the next k steps, [k, b, ...], and the step that the first of them belongs to."""

    batches: Batch
    first: Int[Array, ""]


# What a call of the step takes its batches from.
Fed = Epoch | Window


class Resident:
    """Keeps all train images on every device."""

    def __init__(self, run: Run, images: Batch) -> None:
        """Put the images on the devices."""
        self.run, self.n = run, len(images.labels)
        self.images, self.epoch, self.order = mesh.replicate(run.mesh, images), -1, None
        self.most = run.total_steps

    def take(self, key: Key, step: int, count: int) -> Fed:
        """Return what the `count` steps from `step` on, in one epoch, take their batches from."""
        if (epoch := step // self.run.steps_per_epoch) != self.epoch:
            self.epoch, self.order = epoch, permute(key, epoch, self.n)
        return Epoch(self.images, self.order)


class Streamed:
    """Reads the batches of each call from disk; each process reads the rows of its own devices."""

    def __init__(self, run: Run, images: Batch) -> None:
        """Prepare to read; the first call starts it.

        Attributes:
          most: steps of a call.
        """
        self.run, self.stored = run, images
        size = run.training.batch_size
        self.most = max(1, min(run.training.log_every, int(CALL // (size * np.prod(images.images.shape[1:])))))
        self.rows = mesh.own_rows(run.mesh, size)
        self.reading: Iterator[Batch] = iter(())
        self.step = -1

    def take(self, key: Key, step: int, count: int) -> Fed:
        """Return the batches of the `count` <= `most` steps from `step` on, in one epoch."""
        if step != self.step:
            self.start(key, step)
        batches = [next(self.reading) for _ in range(count)]
        # Always as many, so that there is one compiled program.
        batches += [batches[-1]] * (self.most - count)
        self.step = step + count
        if self.step % self.run.steps_per_epoch == 0 and self.step < self.run.total_steps:
            self.start(key, self.step)
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *batches)
        return Window(mesh.place(self.run.mesh, stacked, axis=1), mesh.replicate(self.run.mesh, np.int32(step)))

    def start(self, key: Key, step: int) -> None:
        """Start to read the rest of the epoch that a step is in, from this step on."""
        self.close()
        epoch, done = divmod(step, self.run.steps_per_epoch)
        order = np.asarray(permute(key, epoch, len(self.stored.labels)))
        size = self.run.training.batch_size
        rows = order[: self.run.steps_per_epoch * size].reshape(-1, size)[done:, self.rows]
        counts = {"size": len(self.rows), "ahead": self.most + AHEAD}
        self.reading = read_ahead(*self.stored, np.ravel(rows), **counts)
        self.step = step

    def close(self) -> None:
        """Stop reading."""
        if close := getattr(self.reading, "close", None):
            close()


@contextlib.contextmanager
def opened(run: Run, images: Batch) -> Iterator[Resident | Streamed]:
    """Make the feed of a run's train images: resident if they are in memory."""
    if not isinstance(images.images, OnDisk):
        yield Resident(run, images)
        return
    feed = Streamed(run, images)
    try:
        yield feed
    finally:
        feed.close()


@partial(jax.jit, static_argnums=2)
def permute(root: Key, epoch: Int[ArrayLike, ""], n: int) -> Int[Array, " n"]:
    """Order the n train images of an epoch: a function of (seed, epoch)."""
    return jax.random.permutation(keys.epoch(root, epoch), n)


def read_ahead(
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
