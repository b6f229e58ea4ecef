"""Progress: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping

import tqdm
from tqdm import auto

# Seconds between two plain lines.
PATIENCE = 10.0


class Progress:
    """Shows how far a run is."""

    def __init__(self, *, epochs: int, steps_per_epoch: int, step: int) -> None:
        """Start at a step; the bar is drawn only on a terminal, and in a notebook."""
        self.epochs, self.steps_per_epoch, self.total = epochs, steps_per_epoch, epochs * steps_per_epoch
        in_notebook = "ipykernel" in sys.modules
        self.bar = (auto.tqdm if in_notebook else tqdm.tqdm)(
            total=self.total,
            initial=step,
            disable=not (in_notebook or sys.stderr.isatty()),
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} steps, {elapsed}, {remaining} left{postfix}",
        )
        self.printed = time.perf_counter()

    def show(self, step: int, *, seconds: float, loss: float, rate: Mapping[str, float]) -> None:
        """Show the loss and the speed at a step that was reached after so many seconds of training."""
        epoch = f"epoch {step / self.steps_per_epoch:.1f}/{self.epochs}"
        speed = f", {rate['images_per_second']:,.0f} images/s" if rate else ""
        speed += f" ({rate['share_of_peak']:.0%} of peak)" if "share_of_peak" in rate else ""
        self.bar.update(step - self.bar.n)
        self.bar.set_description_str(epoch, refresh=False)
        self.bar.set_postfix_str(f"loss {loss:.4f}{speed}")
        if self.bar.disable and (time.perf_counter() - self.printed > PATIENCE or step == self.total):
            self.printed = time.perf_counter()
            left = seconds / step * (self.total - step)
            self.say(f"{epoch}, step {step}/{self.total}: loss {loss:.4f}{speed}, {left:.0f} s left")

    def validated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print what was measured on the validation split after a step."""
        numbers = ", ".join(f"{name.removeprefix('validation/')} {value:.4f}" for name, value in metrics.items())
        self.say(f"epoch {step // self.steps_per_epoch}/{self.epochs} on validation: {numbers}")

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
