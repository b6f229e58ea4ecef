"""Seeds side by side: runs that differ only in their seeds, the steps of all in one call of the device."""

import contextlib
import operator
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int

from jaxembed.cli import signals
from jaxembed.core.errors import Diverged
from jaxembed.devices import mesh
from jaxembed.kernels import compiler
from jaxembed.run.run import Run
from jaxembed.train import session, steps
from jaxembed.train.feed import Fed
from jaxembed.train.session import Session
from jaxembed.types import Dataset, State


class Seed(NamedTuple):
    """One of the runs: its seed, its data, and the folder of its log and checkpoints."""

    seed: int
    dataset: Dataset
    folder: Path


def fit(run: Run, seeds: Sequence[Seed], *, track: str = "") -> list[State | Diverged]:
    """Train runs that differ only in their seeds, those that are at the same step in one call.

    A device that one small network leaves idle takes little longer for several of them. Sums are then taken in
    another order, so a run is not bit-identical to one trained alone.

    Args:
      run: the parts of all of them.
      seeds: the runs.
      track: the name of a tracker that gets the log as well; empty for none.

    Returns:
      the state that each ends in, or why it ended before.

    Raises:
      Stopped: after a signal, once the states of all are saved.
    """
    options = {"track": track, "together": len(seeds)}
    with signals.caught() as received, contextlib.ExitStack() as opened:
        sessions = [
            opened.enter_context(session.opened(run, each.dataset, each.folder, seed=each.seed, **options))
            for each in seeds
        ]
        diverged: dict[Session, Diverged] = {}
        while training := [each for each in sessions if not each.is_done and each not in diverged]:
            if received:
                _stop(training, received[0])
            # Those that are behind catch up first.
            step = min(each.step for each in training)
            diverged |= _advance([each for each in training if each.step == step])
        if received:
            _stop(sessions, received[0])
    if received:
        signal.raise_signal(received[0])  # it arrived during the last save
    return [diverged.get(each, each.state) for each in sessions]


def _stop(training: Sequence[Session], cause: signal.Signals) -> NoReturn:
    """Save all that can be saved; then raise Stopped."""
    for each in training:
        with contextlib.suppress(Diverged):
            each.save()
    raise signals.stopped(cause, training[0].step, training[0].run.total_steps)


def _advance(training: Sequence[Session]) -> dict[Session, Diverged]:
    """Take the next steps of runs that are at the same step; return those that diverge, and why."""
    for each in training:
        each.validate()
    run = training[0].run.at(training[0].step)
    calls = [each.next_call() for each in training]
    (count,) = {count for _, count in calls}
    states, fed = [each.state for each in training], [fed for fed, _ in calls]
    if len(training) == 1:
        results = [steps.advance(run, states[0], fed[0], count)]
    else:
        results = advance_all(run, states, fed, count)
    diverged = {}
    for each, (state, scores) in zip(training, results, strict=True):
        try:
            each.took(count, state, scores)
        except Diverged as error:
            diverged[each] = error
    return diverged


@partial(compiler.compiled, static_argnums=0, donate_argnums=1)
def advance_all(
    run: Run, states: Sequence[State], fed: Sequence[Fed], count: Int[ArrayLike, ""]
) -> list[tuple[State, dict[str, Array]]]:
    """Take `count` steps with each of several states, as `steps.advance` does with one."""
    stacked = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in (states, fed))
    results = mesh.whole(run.mesh, jax.vmap(partial(steps.several, run, count))(*stacked))
    return [jax.tree.map(operator.itemgetter(index), results) for index in range(len(states))]
