"""The training loop: from the parts of a run to its final state."""

import signal
from collections.abc import Callable
from pathlib import Path

from jaxembed.cli import signals
from jaxembed.devices import processes
from jaxembed.run.run import Run
from jaxembed.train import session, steps
from jaxembed.types import Dataset, State


def fit(
    run: Run,
    dataset: Dataset,
    folder: Path,
    *,
    seed: int,
    track: str = "",
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
      seed: the seed of the initial weights and of every step.
      track: the name of a tracker that gets the log as well; empty for none.
      rehearsed: called once the first steps are compiled, which takes seconds; what it raises ends the run.

    Raises:
      Stopped: after SIGTERM or Ctrl-C, once the state is saved.
      Diverged: if the loss is no longer finite.
      InputError: if there are checkpoints, and none of them can be restored, or the data has changed since.
    """
    options = {"seed": seed, "track": track, "rehearsed": rehearsed}
    with (
        signals.caught() as received,
        session.opened(run, dataset, folder, **options) as training,
    ):
        agreed = processes.Agreed(run.mesh)
        while training.step < run.total_steps:
            training.stop_at(agreed(received))
            training.validate()
            fed, count = training.next_call()
            state, scores = steps.advance(run.at(training.step), training.state, fed, count)
            training.took(count, state, scores)
        training.stop_at(agreed(received))
    if received and processes.count() == 1:
        signal.raise_signal(received[0])  # it arrived during the last save
    return training.state
