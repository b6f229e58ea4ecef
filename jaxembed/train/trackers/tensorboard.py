"""TensorBoard: event files in the run's folder, `tensorboard --logdir=checkpoints`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXTRA, PACKAGE = "tensorboard", "tensorboardX"


class Tracker:
    """Writes events; those beyond the step that a run resumes from are hidden, because they come again."""

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        """Open the run's event files, which do not hold its config."""
        import tensorboardX  # here, because it is an extra

        del config
        self.writer = tensorboardX.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write values by name at a step."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write everything to disk."""
        self.writer.close()
