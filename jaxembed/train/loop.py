"""Training: from the parts of a run to its final state, with checkpoints, resuming and signals."""

import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxembed.artifacts import workdir
from jaxembed.cli import signals
from jaxembed.devices import processes
from jaxembed.evaluate import evaluation
from jaxembed.kernels import flops
from jaxembed.run.run import Run
from jaxembed.train import feed, log, start, steps, together
from jaxembed.train.checkpoint import Checkpoints
from jaxembed.train.together import Call, Loop
from jaxembed.types import Batch, Dataset, State


def fit(
    run: Run,
    dataset: Dataset,
    folder: Path,
    *,
    seed: int,
    tensorboard: bool = False,
    rehearsed: Callable[[], None] = lambda: None,
) -> State:
    """Train to the end, from the newest checkpoint in the run's folder if there is one.

    A run that was stopped and resumed ends in the same state, bit for bit, as one that was not: the order, the
    views and the dropout of every step are functions of (seed, step). This needs a device that sums in the same
    order each time: a GPU does so only with XLA_FLAGS=--xla_gpu_deterministic_ops=true.

    Args:
      run: the parts of the run.
      dataset: its data.
      folder: where its log and checkpoints are.
      seed: of the initial weights and of every step.
      tensorboard: whether to write TensorBoard events as well.
      rehearsed: called once the first steps are compiled, which takes seconds; what it raises ends the run.

    Raises:
      Stopped: after SIGTERM or Ctrl-C, once the state is saved.
      Diverged: if the loss is no longer finite.
      InputError: if there are checkpoints, and none of them can be restored, or the data has changed since.
    """
    alone = partial(loop, run, dataset, folder, seed=seed, tensorboard=tensorboard, rehearsed=rehearsed)
    (end,) = together.fit(run, [alone])
    if isinstance(end, Exception):
        raise end
    return end


def loop(
    run: Run,
    dataset: Dataset,
    folder: Path,
    received: Sequence[signal.Signals],
    *,
    seed: int,
    tensorboard: bool,
    together: int = 1,
    rehearsed: Callable[[], None] = lambda: None,
) -> Loop:
    """Train as `fit`, but leave the steps of `together` runs to `side_by_side`; stop once a signal is received."""
    training = run.training
    with Checkpoints(folder / workdir.CHECKPOINT) as checkpoints:
        state, notes = start.resumed(checkpoints, run, dataset, folder, seed=seed)
        step = int(state.step)
        with (
            feed.opened(run, dataset.train) as images,
            log.Log(folder, run, step=step, notes=notes, tensorboard=tensorboard, together=together) as journal,
        ):
            first, saved, agreed = step, step, processes.Agreed(run.mesh)
            while True:
                if number := agreed(received[0] if received else 0):
                    if step > saved:
                        journal.flush()
                        checkpoints.save(state, journal.notes() | {start.DATA: dataset.sha256})
                    raise signals.stopped(signal.Signals(number), step, run.total_steps)
                # Before the next step rather than after the last one, so that a resumed run makes up for it.
                if _validation_is_due(run, dataset, step) and step not in journal.validated:
                    with journal.paused():
                        journal.validation(step, evaluation.validate(run, state, dataset))
                if step == run.total_steps:
                    return state
                if step == run.early_steps > first:
                    journal.compiling()
                count = min(images.most, steps_to_next_event(run, step))
                result = yield Call(step, count, state, images.take(state.key, step, count))
                if result is None:
                    continue
                state, scores = result
                step += count
                journal.add(step, count, scores)
                if step - count in (first, run.early_steps):  # that call compiled
                    with journal.paused():
                        rehearsed()
                        journal.speed = _speed(run.at(step - count), state, dataset)
                if step % training.checkpoint_every == 0 or step == run.total_steps:
                    journal.flush()  # raises if the run has diverged, before that could be saved
                    checkpoints.save(state, journal.notes() | {start.DATA: dataset.sha256})
                    saved = step


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
    count = steps.operations(run, state, Batch(images, labels), order)
    return count and flops.Speed(count / run.training.batch_size, flops.peak(run.training.dtype))


def _validation_is_due(run: Run, dataset: Dataset, step: int) -> bool:
    every = run.training.validate_every * run.steps_per_epoch
    # Not at the end: the evaluation that follows measures the same.
    return bool(every) and dataset.validation is not None and step % every == 0 and 0 < step < run.total_steps
