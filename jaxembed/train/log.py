"""The log of a run: means over steps go to metrics.jsonl, to the progress display, and to TensorBoard if asked."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import logging

from jaxembed.artifacts import history, workdir
from jaxembed.core.errors import Diverged
from jaxembed.devices import processes
from jaxembed.kernels.flops import Speed
from jaxembed.run.run import Run
from jaxembed.train.progress import Progress


class Scored(NamedTuple):
    """The mean scores, on the device, of the `count` steps that end at `step`."""

    step: int
    count: int
    scores: Mapping[str, jax.Array]


class Log:
    """Takes the scores of every call of the step; writes their means over the steps since the last line.

    A line is due every `log_every` steps. Scores remain on the device until the next line is due, unless it has
    computed them by then: the host reads one line late, so the device never waits for it. `seconds` counts training
    only, compilation included, across resumed runs.

    Attributes:
      speed: for the share of the machine's peak, which no line reports without it.
    """

    def __init__(
        self,
        folder: Path,
        run: Run,
        *,
        step: int,
        notes: Mapping[str, Any],
        tensorboard: bool,
        together: int = 1,
    ) -> None:
        """Open the log of a run that resumes at `step`.

        Lines beyond that step, from a run that was killed, are removed. Lines that are missing, because the file
        was damaged or changed, are counted in a warning; training resumes all the same.

        Args:
          folder: of the run.
          run: its parts.
          step: of the state that training resumes from.
          notes: that were saved with that state (`notes`); none of it at step 0.
          tensorboard: whether to write TensorBoard events as well.
          together: how many runs train side by side, this one included; more than one are noted in its lines.
        """
        self.run, self.file = run, folder / workdir.METRICS
        self.speed: Speed | None = None
        lines = [line for line in history.read(self.file) if line["step"] <= step]
        # A validation at the step itself came after the state was saved.
        before = sum(line["step"] < step or not history.is_validation(line) for line in lines)
        if (missing := notes.get("lines", 0) - before) > 0:
            logging.warning(
                "%s: %d of the %d lines up to step %d are missing", self.file, missing, before + missing, step
            )
        self.count = len(lines)
        if processes.is_first():
            history.write(self.file, lines)
        self.validated = {line["step"] for line in lines if "validation/loss" in line}
        self.together = {"together": together} if together > 1 else {}
        self.board = _board(folder, step) if tensorboard and processes.is_first() else None
        self.progress = Progress(epochs=run.training.epochs, steps_per_epoch=run.steps_per_epoch, step=step)
        self.window: list[Scored] = []
        self.pending: list[Scored] = []
        self.seconds = max([notes.get("seconds", 0.0), *(line["seconds"] for line in lines)])
        self.started = time.perf_counter()
        self.rated = None  # (step, seconds) from which the next rate is computed; none before the first call

    def __enter__(self) -> "Log":
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the progress display and the board."""
        self.progress.close()
        if self.board:
            self.board.close()

    def add(self, step: int, count: int, scores: Mapping[str, jax.Array]) -> None:
        """Take the mean scores of the `count` steps that end at `step`."""
        self.window.append(Scored(step, count, scores))
        if self.rated is None:
            jax.block_until_ready(scores)  # the first call compiles, so rates start after it
            self.rated = (step, self.elapsed())
        if step % self.run.training.log_every == 0:
            self._write_pending()
            self._close_window()
            # A GPU's loop ends before its call returns. Reading it with the next one would rate two lines as one.
            if all(score.is_ready() for score in scores.values()):
                self._write_pending()

    def compiling(self) -> None:
        """Expect the next call to compile: rates start anew after it."""
        self.flush()
        self.rated = None

    def notes(self) -> dict[str, Any]:
        """Return what a state is saved with, so that a damaged log is noticed: lines and seconds so far."""
        return {"lines": self.count, "seconds": round(self.elapsed(), 3)}

    def flush(self) -> None:
        """Write everything that was added, waiting for the device; Diverged if the loss is not finite."""
        self._write_pending()
        self._close_window()
        self._write_pending()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Write everything that was added and stop the clock, for a measurement between two steps."""
        self.flush()
        self.seconds = self.elapsed()
        yield
        self.started = time.perf_counter()

    def validation(self, step: int, measured: Mapping[str, float]) -> None:
        """Write what was measured on the validation split, and print it."""
        self.write(step, measured)
        self.validated.add(step)
        self.progress.validated(step, measured)

    def elapsed(self) -> float:
        """Seconds of training so far."""
        return self.seconds + time.perf_counter() - self.started

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard."""
        line = {"step": step, "epoch": step / self.run.steps_per_epoch, "seconds": self.seconds} | self.together
        line |= values
        self.count += 1
        if processes.is_first():
            history.append(self.file, line)
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def _close_window(self) -> None:
        if self.window:
            self.pending, self.window = self.window, []

    def _write_pending(self) -> None:
        if not self.pending:
            return
        window, self.pending = jax.device_get(self.pending), []
        step, seconds = window[-1].step, self.elapsed()
        means, rate = _means(window), self._rate(step, seconds)
        learning_rate = float(self.run.schedule(step - 1))
        self.write(step, {"seconds": seconds} | rate | {"learning_rate": learning_rate} | means)
        if not math.isfinite(loss := means["train/loss"]):
            advice = "lower config.optimizer.learning_rate and use a new --workdir"
            raise Diverged(f"loss became {loss} at step {step}; {advice}")
        self.progress.show(step, seconds=seconds, loss=loss, rate=rate)

    def _rate(self, step: int, seconds: float) -> dict[str, float]:
        """Return the images per second since the last rate, and the share of the machine's peak that they need."""
        rated_step, rated_seconds = self.rated
        if step <= rated_step:
            return {}
        self.rated = (step, seconds)
        images_per_second = (step - rated_step) * self.run.training.batch_size / (seconds - rated_seconds)
        share = {"share_of_peak": self.speed.share(images_per_second)} if self.speed else {}
        return {"images_per_second": images_per_second} | share


def _means(window: list[Scored]) -> dict[str, float]:
    """Average the scores over all steps: `train/<score>` -> mean."""
    total = sum(each.count for each in window)
    names = window[0].scores
    return {
        f"train/{name}": float(sum(each.count * each.scores[name] for each in window) / total) for name in names
    }


def _board(folder: Path, step: int) -> Any:
    import tensorboardX  # here, because it is an extra

    return tensorboardX.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
