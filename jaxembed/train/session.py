"""A session: what a run holds open while it trains, and what is due between two calls of the step."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxembed.artifacts import workdir
from jaxembed.cli import signals
from jaxembed.evaluate import evaluation
from jaxembed.kernels import flops
from jaxembed.run.run import Run
from jaxembed.train import feed, log, start, steps
from jaxembed.train.checkpoint import Checkpoints
from jaxembed.train.feed import Epoch, Fed, Resident, Streamed
from jaxembed.train.log import Log
from jaxembed.types import Batch, Dataset, State


class Session:
    """A run that is trained: its state, and the images, the log and the checkpoints that are open for it.

    Attributes:
      state: the newest state.
      step: the step that it is at, as a number of the host.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        state: State,
        *,
        images: Resident | Streamed,
        journal: Log,
        checkpoints: Checkpoints,
        rehearsed: Callable[[], None],
    ) -> None:
        """Start at a state; `rehearsed` is called after the first call of the step."""
        self.run, self.dataset, self.state, self.step = run, dataset, state, int(state.step)
        self.images, self.journal, self.checkpoints, self.rehearsed = images, journal, checkpoints, rehearsed
        self.first = self.saved = self.step

    @property
    def is_done(self) -> bool:
        """Whether the last step is taken."""
        return self.step == self.run.total_steps

    def next_call(self) -> tuple[Fed, int]:
        """Return what the next call of the step takes its batches from, and how many steps it takes."""
        if self.step == self.run.early_steps > self.first:
            self.journal.compiling()
        count = min(self.images.most, steps_to_next_event(self.run, self.step))
        return self.images.take(self.state.key, self.step, count), count

    def took(self, count: int, state: State, scores: Mapping[str, Array]) -> None:
        """Take the result of a call of `count` steps: log it, and save the state where that is due.

        Raises:
          Diverged: if the loss is no longer finite.
        """
        before, self.step, self.state = self.step, self.step + count, state
        self.journal.add(self.step, count, scores)
        if before in (self.first, self.run.early_steps):  # that call compiled
            with self.journal.paused():
                self.rehearsed()
                self.journal.speed = _speed(self.run.at(before), state, self.dataset)
        if self.step % self.run.training.checkpoint_every == 0 or self.is_done:
            self.save()

    def validate(self) -> None:
        """Measure on the validation split where that is due.

        Before the next step rather than after the last one, so that a resumed run makes up for it; not at the end,
        because the evaluation that follows measures the same.
        """
        every = self.run.training.validate_every * self.run.steps_per_epoch
        due = every and self.dataset.validation is not None and self.step % every == 0 < self.step
        if due and not self.is_done and self.step not in self.journal.validated:
            with self.journal.paused():
                measured = evaluation.validate(self.run, self.state, self.dataset)
                self.journal.validation(self.step, measured)

    def save(self) -> None:
        """Save the state, unless it is saved already."""
        if self.step > self.saved:
            self.journal.flush()  # raises if the run has diverged, before that could be saved
            self.checkpoints.save(self.state, self.journal.notes() | {start.DATA: self.dataset.sha256})
            self.saved = self.step

    def stop_at(self, number: int) -> None:
        """Save the state and raise Stopped if this is the number of a signal; 0 is none."""
        if number:
            self.save()
            raise signals.stopped(signal.Signals(number), self.step, self.run.total_steps)


@contextlib.contextmanager
def opened(
    run: Run,
    dataset: Dataset,
    folder: Path,
    *,
    seed: int,
    track: str,
    together: int = 1,
    rehearsed: Callable[[], None] = lambda: None,
) -> Iterator[Session]:
    """Open the session of a run at its newest checkpoint, or at its first state; leaving waits for the last save.

    Args:
      run: the parts of the run.
      dataset: its data.
      folder: where its log and checkpoints are.
      seed: the seed of the initial weights and of every step.
      track: the name of a tracker that gets the log as well; empty for none.
      together: how many runs train side by side, this one included.
      rehearsed: called once the first steps are compiled; what it raises ends the run.
    """
    with Checkpoints(folder / workdir.CHECKPOINT) as checkpoints:
        state, notes = start.resumed(checkpoints, run, dataset, folder, seed=seed)
        options = {"step": int(state.step), "notes": notes, "track": track, "together": together}
        with feed.opened(run, dataset.train) as images, log.opened(folder, run, **options) as journal:
            parts = {"images": images, "journal": journal, "checkpoints": checkpoints}
            yield Session(run, dataset, state, **parts, rehearsed=rehearsed)


def steps_to_next_event(run: Run, step: int) -> int:
    """Return how many steps the device may take before the host has something to do."""
    events = (run.steps_per_epoch, run.training.log_every, run.training.checkpoint_every)
    end = run.early_steps if step < run.early_steps else run.total_steps
    return min(end - step, *(every - step % every for every in events))


def _speed(run: Run, state: State, dataset: Dataset) -> flops.Speed | None:
    n = len(dataset.train.labels)
    images, labels, order = (
        jax.ShapeDtypeStruct((n, *shape), dtype)
        for shape, dtype in ((dataset.train.images.shape[1:], jnp.uint8), ((), jnp.int32), ((), jnp.int32))
    )
    count = steps.operations(run, state, Epoch(Batch(images, labels), order))
    return count and flops.Speed(count / run.training.batch_size, flops.peak(run.training.dtype))
