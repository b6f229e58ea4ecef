"""Trackio: a database on this machine, `trackio show`, or a Space of the Hugging Face hub in $TRACKIO_SPACE_ID."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxembed.train import trackers

EXTRA = PACKAGE = "trackio"


class Tracker:
    """A run of the project in $TRACKIO_PROJECT, or "jaxembed", which resumes as the run does."""

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        """Open the run; lines after a resumed one's step are there twice, and equal."""
        import trackio  # here, because it is an extra

        del step
        self.run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "jaxembed"),
            name=f"{folder.resolve().name}-{trackers.identifier(folder, 'trackio')[:6]}",
            config=dict(config),
            resume="allow",
            embed=False,
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write values by name at a step."""
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        """Write everything to disk."""
        self.run.finish()
