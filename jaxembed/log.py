"""The log of a run: metrics.jsonl, a progress bar or plain lines, and TensorBoard if asked."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import tqdm

from jaxembed.kernels.speed import Speed
from jaxembed.run import Run
from jaxembed.runs import workdir
from jaxembed.types import InputError

# Seconds between two plain lines, where there is no terminal to draw a bar on.
PATIENCE = 10.0


class Diverged(RuntimeError):
    """The loss is no longer a number; the text is one line."""


class Log:
    """Takes the scores of every call of the step; writes their means over the steps since the last line.

    A line is due every `log_every` steps. Scores stay on the device until the next line is due, unless it is done
    with them: the host reads one line late, so the device never waits for it. `seconds` counts training alone,
    compilation included, across resumed runs.
    """

    def __init__(self, folder: Path, run: Run, *, step: int, speed: Speed | None) -> None:
        """Open the log of a run that goes on from `step`; lines beyond it, of a run that was killed, go.

        Without a speed, no line says what share of the peak its images a second are.
        """
        self.run, self.file, self.speed = run, folder / "metrics.jsonl", speed
        lines = [line for line in read(self.file) if line["step"] <= step]
        workdir.write(self.file.name, "".join(json.dumps(line) + "\n" for line in lines), folder)
        self.validated = {line["step"] for line in lines if "validation/loss" in line}
        self.board = None
        if run.training.tensorboard:
            import tensorboardX  # here, as it is an extra

            self.board = tensorboardX.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self.bar = tqdm.tqdm(
            total=run.total_steps,
            initial=step,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} steps, {elapsed}, {remaining} left{postfix}",
        )
        self.window, self.pending = [], None
        self.seconds = max((line["seconds"] for line in lines), default=0.0)
        self.started = self.printed = time.perf_counter()
        self.rated = None  # (step, seconds) from which the next rate is taken; none before the first call

    def __enter__(self) -> "Log":
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar and the board."""
        self.bar.close()
        if self.board:
            self.board.close()

    def add(self, step: int, count: int, scores: Mapping[str, jax.Array]) -> None:
        """Take the mean scores of the `count` steps that end at `step`."""
        self.window.append((step, count, scores))
        if self.rated is None:
            jax.block_until_ready(scores)  # the first call compiles: rates are of what comes after it
            self.rated = (step, self.elapsed())
        if step % self.run.training.log_every == 0:
            self._write_pending()
            self._close_window()
            # A GPU's loop ends before its call returns. To read it with the next one would rate two lines as one.
            if all(score.is_ready() for score in scores.values()):
                self._write_pending()

    def flush(self) -> None:
        """Write all that was added, waiting for the device; Diverged if the loss is no number."""
        self._write_pending()
        self._close_window()
        self._write_pending()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Write all that was added and stop the clock, for a measurement between two steps."""
        self.flush()
        self.seconds = self.elapsed()
        yield
        self.started = time.perf_counter()

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write what was measured on the validation split, and print it."""
        self.write(step, metrics)
        self.validated.add(step)
        numbers = ", ".join(f"{name.removeprefix('validation/')} {value:.4f}" for name, value in metrics.items())
        epoch = step // self.run.steps_per_epoch
        self.say(f"epoch {epoch}/{self.run.training.epochs} on validation: {numbers}")

    def elapsed(self) -> float:
        """Seconds of training so far."""
        return self.seconds + time.perf_counter() - self.started

    def _close_window(self) -> None:
        if self.window:
            self.pending = (self.window[-1][0], self.window)
            self.window = []

    def _write_pending(self) -> None:
        if self.pending is None:
            return
        step, window = self.pending
        self.pending = None
        window = jax.device_get(window)
        total = sum(count for _, count, _ in window)
        means = {
            f"train/{name}": float(sum(count * scores[name] for _, count, scores in window) / total)
            for name in window[0][2]
        }
        seconds, rate = self.elapsed(), {}
        rated_step, rated_seconds = self.rated
        if step > rated_step:
            images = (step - rated_step) * self.run.training.batch_size
            rate = {"images_per_second": images / (seconds - rated_seconds)}
            if self.speed:
                rate["share_of_peak"] = self.speed.share(rate["images_per_second"])
            self.rated = (step, seconds)
        self.write(
            step, {"seconds": seconds} | rate | {"learning_rate": float(self.run.schedule(step - 1))} | means
        )
        if not math.isfinite(loss := means["train/loss"]):
            raise Diverged(f"the loss is {loss} at step {step}: try a smaller rate, in another --workdir")
        self._show(step, seconds, loss, rate)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard."""
        line = {"step": step, "epoch": step / self.run.steps_per_epoch, "seconds": self.seconds} | values
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def _show(self, step: int, seconds: float, loss: float, rate: Mapping[str, float]) -> None:
        epoch = f"epoch {step / self.run.steps_per_epoch:.1f}/{self.run.training.epochs}"
        speed = f", {rate['images_per_second']:,.0f} images/s" if rate else ""
        speed += f" ({rate['share_of_peak']:.0%} of peak)" if "share_of_peak" in rate else ""
        self.bar.update(step - self.bar.n)
        self.bar.set_description_str(epoch, refresh=False)
        self.bar.set_postfix_str(f"loss {loss:.4f}{speed}")
        if self.bar.disable and (time.perf_counter() - self.printed > PATIENCE or step == self.run.total_steps):
            self.printed = time.perf_counter()
            left = seconds / step * (self.run.total_steps - step)
            self.say(f"{epoch}, step {step}/{self.run.total_steps}: loss {loss:.4f}{speed}, {left:.0f} s left")


def read(file: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl; a last line that was cut off by a kill is left out, a missing file is empty.

    Raises:
      InputError: at another line that is damaged.
    """
    if not file.exists():
        return []
    lines = []
    for number, text in enumerate(file.read_text(errors="replace").splitlines(keepends=True), start=1):
        if not text.endswith("\n"):
            continue
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{file} is damaged in line {number}: {error}") from error
        if not isinstance(line, dict) or not {"step", "epoch", "seconds"} <= line.keys():
            raise InputError(f"{file} is damaged in line {number}: it must hold step, epoch and seconds")
        lines.append(line)
    return lines
