"""Weights & Biases: https://wandb.ai, or its files in the run's folder with WANDB_MODE=offline."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxembed.train import trackers

EXTRA = PACKAGE = "wandb"


class Tracker:
    """A run of the project in $WANDB_PROJECT, or "jaxembed", which resumes as the run does."""

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        """Open the run; lines after a resumed one's step are there twice, and equal."""
        import wandb  # here, because it is an extra

        del step
        self.run = wandb.init(
            project=None if "WANDB_PROJECT" in os.environ else "jaxembed",
            id=trackers.identifier(folder, "wandb"),
            name=folder.resolve().name,
            dir=str(folder),
            config=dict(config),
            resume="allow",
            reinit="create_new",  # seeds that train side by side are several runs of one process
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send values by name at a step."""
        self.run.log({"step": step, **values})

    def close(self) -> None:
        """Send everything."""
        self.run.finish()
