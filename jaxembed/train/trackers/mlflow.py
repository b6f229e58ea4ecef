"""MLflow: the server or folder in $MLFLOW_TRACKING_URI."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxembed.artifacts import identity
from jaxembed.train import trackers

EXTRA = PACKAGE = "mlflow"


class Tracker:
    """A run of the experiment in $MLFLOW_EXPERIMENT_NAME, or "jaxembed", which resumes as the run does."""

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        """Open the run; lines after a resumed one's step are there twice, and equal."""
        import mlflow  # here, because it is an extra

        del step
        self.client = mlflow.MlflowClient()
        experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "jaxembed")).experiment_id
        known = f"tags.jaxembed = '{trackers.identifier(folder, 'mlflow')}'"
        [run] = self.client.search_runs([experiment], known, max_results=1) or [
            self.client.create_run(
                experiment,
                run_name=folder.resolve().name,
                tags={"jaxembed": trackers.identifier(folder, "mlflow")},
            )
        ]
        self.run = run.info.run_id
        self.client.update_run(self.run, "RUNNING")
        for name, value in identity.flatten(config).items():
            self.client.log_param(self.run, name, value)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send values by name at a step."""
        for name, value in values.items():
            self.client.log_metric(self.run, name, value, step=step)

    def close(self) -> None:
        """End the run in MLflow."""
        self.client.set_terminated(self.run)
