"""Training: from the parts of a run to its final state, with checkpoints, resuming and signals."""

import contextlib
import signal
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from jaxembed import evaluate, feed, log, model, steps
from jaxembed.artifacts import workdir
from jaxembed.checkpoint import Checkpoints, Saved
from jaxembed.cli import signals
from jaxembed.core import keys
from jaxembed.core.errors import Diverged, InputError, Stopped
from jaxembed.core.keys import Key
from jaxembed.devices import mesh, processes
from jaxembed.feed import Fed
from jaxembed.kernels import compiler, flops
from jaxembed.run.run import Run
from jaxembed.types import Batch, Dataset, State

# The note of a checkpoint that says which images it was trained on.
DATA = "data"
# Images that the first state may depend on.
SEEN = 256


class Call(NamedTuple):
    """A call of `steps.advance` that a run waits for.

    Attributes:
      step: that it starts from.
      count: of steps.
      state: at that step.
      fed: what the steps take their batches from.
    """

    step: int
    count: int
    state: State
    fed: Fed


# Yields calls; is sent the state and the scores of each, or None to look for signals; returns the last state.
Loop = Generator[Call, tuple[State, dict[str, Array]] | None, State]


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
    (end,) = side_by_side(run, [alone])
    if isinstance(end, Exception):
        raise end
    return end


def side_by_side(
    run: Run, starts: Sequence[Callable[[Sequence[signal.Signals]], Loop]]
) -> list[State | Stopped | Diverged]:
    """Train runs that differ only in their seeds, those that are at the same step in one call.

    A device that one small network leaves idle takes little longer for several of them. Sums are then taken in
    another order, so a run is not bit-identical to one trained alone.

    Args:
      run: the parts of all of them.
      starts: for each, a function from a list, to which signals will be added, to its `loop`.

    Returns:
      the state that each ends in, or why it ended before.
    """
    with contextlib.ExitStack() as opened:
        received = opened.enter_context(signals.caught())
        loops = [opened.enter_context(contextlib.closing(start(received))) for start in starts]
        ends: dict[Loop, State | Stopped | Diverged] = {}
        waiting: dict[Loop, Call] = {}
        results: dict[Loop, Any] = dict.fromkeys(loops)
        while results:
            for each, result in results.items():
                try:
                    waiting[each] = each.send(result)
                except StopIteration as end:
                    ends[each] = end.value
                except (Stopped, Diverged) as error:
                    ends[each] = error
            if received and any(isinstance(end, Stopped) for end in ends.values()):
                results, waiting = dict.fromkeys(waiting), {}
                continue
            # Those behind catch up first.
            earliest = min(((call.step, call.count) for call in waiting.values()), default=None)
            alike = [each for each, call in waiting.items() if (call.step, call.count) == earliest]
            calls = [waiting.pop(each) for each in alike]
            results = dict(zip(alike, _advanced(run, calls), strict=True))
    if received and processes.count() == 1 and not any(isinstance(end, Stopped) for end in ends.values()):
        signal.raise_signal(received[0])  # it came during the last save, after the last look
    return [ends[each] for each in loops]


def _advanced(run: Run, calls: Sequence[Call]) -> Sequence[tuple[State, dict[str, Array]]]:
    if len(calls) < 2:
        return [steps.advance(run.at(call.step), call.state, *call.fed, call.count) for call in calls]
    states, fed = [call.state for call in calls], [call.fed for call in calls]
    return steps.advance_all(run.at(calls[0].step), states, fed, calls[0].count)


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
        state, notes = _resumed(checkpoints, run, dataset, folder, seed=seed)
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
                        checkpoints.save(state, journal.notes() | {DATA: dataset.sha256})
                    raise signals.stopped(signal.Signals(number), step, run.total_steps)
                # Before the next step rather than after the last one, so that a resumed run makes up for it.
                if _validation_is_due(run, dataset, step) and step not in journal.validated:
                    with journal.paused():
                        journal.validation(step, evaluate.validate(run, state, dataset))
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
                    checkpoints.save(state, journal.notes() | {DATA: dataset.sha256})
                    saved = step


def restored(run: Run, dataset: Dataset, folder: Path, *, seed: int) -> State:
    """Restore the state at the end of a finished run.

    Raises:
      InputError: if its last checkpoint is damaged or missing, or the data has changed since.
    """
    with Checkpoints(folder / workdir.CHECKPOINT) as checkpoints:
        return _resumed(checkpoints, run, dataset, folder, seed=seed, step=run.total_steps)[0]


def _resumed(
    checkpoints: Checkpoints, run: Run, dataset: Dataset, folder: Path, *, seed: int, step: int | None = None
) -> Saved:
    """Restore a state of this run on this dataset, by default the newest; without a checkpoint, the first."""
    first = init(run, dataset, seed=seed)
    saved = checkpoints.restore(first, step=step) or Saved(first, {})
    if saved.notes.get(DATA, dataset.sha256) != dataset.sha256:
        raise InputError(
            f"--workdir {folder} was trained on other images or labels than {dataset.name} has now; bring those "
            "back, or use a different --workdir"
        )
    return saved


def init(run: Run, dataset: Dataset, *, seed: int) -> State:
    """Make the state at step 0, whole on every device."""
    key = jax.random.key(seed)
    with jax.default_device(mesh.host()):
        n = len(dataset.train.labels)
        rows = np.linspace(0, n - 1, min(n, SEEN)).astype(int)  # of all classes, where they are in order
        images = jnp.asarray(dataset.train.images[rows])
        # Run once: optimising the program would take longer than running it.
        state = jax.jit(start, static_argnums=0, compiler_options=compiler.unoptimised())(run, key, images)
    return mesh.replicate(run.mesh, state)


def start(run: Run, key: Key, images: UInt8[Array, "n h w c"]) -> State:
    """Make the state at step 0 from the run's key and some train images; only a whitened stem uses their pixels."""
    # XLA removes the forward pass, because no output depends on it; run eagerly, each operation would be compiled
    # separately.
    variables = run.model.init(keys.divide(key).init, model.pixels(images), train=False)
    params = variables["params"]
    return State(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        stats=variables.get("batch_stats", {}),
        opt_state=run.optimizer.init(params),
    )


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
