"""The log of a run: means over steps go to metrics.jsonl, to the progress display, and to a tracker if asked."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import logging

from jaxembed.artifacts import history, workdir
from jaxembed.artifacts.history import Line
from jaxembed.core.errors import Diverged
from jaxembed.devices import processes
from jaxembed.kernels.flops import Speed
from jaxembed.losses import collapse
from jaxembed.run.run import Run
from jaxembed.train.progress import Progress
from jaxembed.train.trackers import Tracked


class Scored(NamedTuple):
    """The mean scores, on the device, of the `count` steps that end at `step`."""

    step: int
    count: int
    scores: Mapping[str, jax.Array]


class Journal:
    """The lines of metrics.jsonl, which the first process writes.

    Attributes:
      lines: the lines that were there when the run resumed.
      count: how many lines there are.
    """

    def __init__(self, file: Path, lines: list[Line]) -> None:
        """Write the file anew with these lines."""
        self.file, self.lines, self.count = file, lines, len(lines)
        if processes.is_first():
            history.write(file, lines)

    def append(self, line: Line) -> None:
        """Append a line."""
        self.count += 1
        if processes.is_first():
            history.append(self.file, line)


class Clock:
    """The seconds of training, compilation included, across resumed runs; and the rate of the steps."""

    def __init__(self, seconds: float) -> None:
        """Start at some seconds; no rate is measured before `rate_from`."""
        self.seconds, self.started = seconds, time.perf_counter()
        self.rated: tuple[int, float] | None = None

    def elapsed(self) -> float:
        """Return the seconds so far."""
        return self.seconds + time.perf_counter() - self.started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop meanwhile."""
        self.seconds = self.elapsed()
        yield
        self.started = time.perf_counter()

    def rate_from(self, step: int | None) -> None:
        """Measure the next rate from a step that was reached now; or from none, before a call that compiles."""
        self.rated = None if step is None else (step, self.elapsed())

    def rate(self, step: int, seconds: float) -> float | None:
        """Return the steps per second up to a step that was reached after some seconds; None if it is not new."""
        before, then = self.rated
        if step <= before:
            return None
        self.rated = (step, seconds)
        return (step - before) / (seconds - then)


class Log:
    """Takes the scores of every call of the step; writes their means over the steps since the last line.

    A line is due every `log_every` steps. Scores remain on the device until the next line is due, unless it has
    computed them by then: the host reads one line late, so the device never waits for it.

    Attributes:
      speed: what turns images per second into a share of the machine's peak, which no line has without it.
      validated: the steps at which the validation split was measured.
      is_blurred: whether a warning was given that outputs are too far apart for float32.
    """

    def __init__(
        self,
        run: Run,
        journal: Journal,
        clock: Clock,
        progress: Progress,
        *,
        together: int,
        tracked: Tracked | None,
    ) -> None:
        """Log into a journal and, unless it is None, a tracker."""
        self.run, self.journal, self.clock, self.progress, self.tracked = run, journal, clock, progress, tracked
        self.together = {"together": together} if together > 1 else {}
        self.speed: Speed | None = None
        self.validated = {line["step"] for line in journal.lines if "validation/loss" in line}
        self.is_blurred = False
        self.window: list[Scored] = []
        self.pending: list[Scored] = []

    def add(self, step: int, count: int, scores: Mapping[str, jax.Array]) -> None:
        """Take the mean scores of the `count` steps that end at `step`."""
        self.window.append(Scored(step, count, scores))
        if self.clock.rated is None:
            jax.block_until_ready(scores)  # this call compiled, so rates start after it
            self.clock.rate_from(step)
        if step % self.run.training.log_every == 0:
            self._write_pending()
            self._close_window()
            # A GPU's loop ends before its call returns. Reading it with the next one would rate two lines as one.
            if all(score.is_ready() for score in scores.values()):
                self._write_pending()

    def compiling(self) -> None:
        """Expect the next call to compile: rates start anew after it."""
        self.flush()
        self.clock.rate_from(None)

    def notes(self) -> dict[str, Any]:
        """Return what a state is saved with, so that a damaged log is noticed: lines and seconds so far."""
        return {"lines": self.journal.count, "seconds": round(self.clock.elapsed(), 3)}

    def flush(self) -> None:
        """Write everything that was added, waiting for the device; Diverged if the loss is not finite."""
        self._write_pending()
        self._close_window()
        self._write_pending()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Write everything that was added and stop the clock, for a measurement between two steps."""
        self.flush()
        with self.clock.paused():
            yield

    def validation(self, step: int, measured: Mapping[str, float]) -> None:
        """Write what was measured on the validation split, and print it."""
        self._write(step, self.clock.seconds, measured)
        self.validated.add(step)
        self.progress.validated(step, measured)

    def _write(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Append one line to the journal, and to the tracker."""
        placed = {"step": step, "epoch": step / self.run.steps_per_epoch, "seconds": seconds}
        self.journal.append(placed | self.together | values)
        if self.tracked:
            self.tracked.log(step, values)

    def _close_window(self) -> None:
        if self.window:
            self.pending, self.window = self.window, []

    def _write_pending(self) -> None:
        if not self.pending:
            return
        window, self.pending = jax.device_get(self.pending), []
        step, seconds = window[-1].step, self.clock.elapsed()
        means, rate = _means(window), self._rate(step, seconds)
        self._write(step, seconds, rate | {"learning_rate": float(self.run.schedule(step - 1))} | means)
        if not math.isfinite(loss := means["train/loss"]):
            advice = "lower config.optimizer.learning_rate and use a new --workdir"
            raise Diverged(f"loss became {loss} at step {step}; {advice}")
        if not self.is_blurred and (spread := means.get("train/spread", 0)) > collapse.MOST_SPREAD:
            self.is_blurred = True
            what = "outputs are %.3g units apart (train/spread), and float32 rounds the distances of near ones"
            logging.warning(f"step %d: {what}", step, spread)
        self.progress.show(step, seconds=seconds, loss=loss, rate=rate)

    def _rate(self, step: int, seconds: float) -> dict[str, float]:
        """Return the images per second since the last rate, and the share of the machine's peak that they need."""
        rate = self.clock.rate(step, seconds)
        if rate is None:
            return {}
        images_per_second = rate * self.run.training.batch_size
        share = self.speed.share(images_per_second) if self.speed else math.inf
        # Above 1, something else was busy while the peak was measured.
        return {"images_per_second": images_per_second} | ({"share_of_peak": share} if share <= 1 else {})


@contextlib.contextmanager
def opened(
    folder: Path, run: Run, *, step: int, notes: Mapping[str, Any], track: str, together: int = 1
) -> Iterator[Log]:
    """Open the log of a run that resumes at `step`.

    Args:
      folder: the run's folder.
      run: its parts.
      step: the step of the state that training resumes from.
      notes: what was saved with that state (`Log.notes`); empty at step 0.
      track: the name of a tracker that gets the lines as well; empty for none.
      together: how many runs train side by side, this one included; more than one are noted in its lines.
    """
    lines = _lines(folder / workdir.METRICS, step, notes)
    clock = Clock(max([notes.get("seconds", 0.0), *(line["seconds"] for line in lines)]))
    journal = Journal(folder / workdir.METRICS, lines)
    tracked = Tracked(track, folder, step=step) if track and processes.is_first() else None
    progress = Progress(epochs=run.training.epochs, steps_per_epoch=run.steps_per_epoch, step=step)
    try:
        yield Log(run, journal, clock, progress, together=together, tracked=tracked)
    finally:
        progress.close()
        if tracked:
            tracked.close()


def _lines(file: Path, step: int, notes: Mapping[str, Any]) -> list[Line]:
    """Read the lines up to a step; those beyond it are from a run that was killed.

    Lines that are missing, because the file was damaged or changed, are counted in a warning; training resumes all
    the same.
    """
    lines = [line for line in history.read(file) if line["step"] <= step]
    # A validation at the step itself came after the state was saved.
    before = sum(line["step"] < step or not history.is_validation(line) for line in lines)
    if (missing := notes.get("lines", 0) - before) > 0:
        logging.warning("%s: %d of the %d lines up to step %d are missing", file, missing, before + missing, step)
    return lines


def _means(window: list[Scored]) -> dict[str, float]:
    """Average the scores over all steps: `train/<score>` -> mean."""
    total = sum(each.count for each in window)
    names = window[0].scores
    return {
        f"train/{name}": float(sum(each.count * each.scores[name] for each in window) / total) for name in names
    }
