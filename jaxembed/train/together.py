"""Seeds side by side: runs that differ only in their seeds, the steps of all in one call of the device."""

import contextlib
import operator
import signal
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int

from jaxembed.cli import signals
from jaxembed.core.errors import Diverged, Stopped
from jaxembed.devices import mesh, processes
from jaxembed.kernels import compiler
from jaxembed.run.run import Run
from jaxembed.train import steps
from jaxembed.train.feed import Fed
from jaxembed.types import State


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


def fit(run: Run, starts: Sequence[Callable[[Sequence[signal.Signals]], Loop]]) -> list[State | Stopped | Diverged]:
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
    return advance_all(run.at(calls[0].step), states, fed, calls[0].count)


@partial(compiler.compiled, static_argnums=0, donate_argnums=1)
def advance_all(
    run: Run, states: Sequence[State], fed: Sequence[Fed], count: Int[ArrayLike, ""]
) -> list[tuple[State, dict[str, Array]]]:
    """Take `count` steps with each of several states, as `advance` does with one."""
    stacked = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in (states, fed))
    results = mesh.whole(run.mesh, jax.vmap(partial(steps._steps, run, count))(*stacked))
    return [jax.tree.map(operator.itemgetter(index), results) for index in range(len(states))]
