"""A finished run, as its folder tells it: no model and no dataset is needed to look at it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from jaxembed import log, sample
from jaxembed.sample import Sample
from jaxembed.types import InputError

# What figures and reports need of a result.json; result.make writes more.
KEYS = (
    *("experiment", "command", "dataset", "encoder", "objective", "seed", "distance", "steps", "epochs"),
    *("device", "parameters", "train_seconds", "versions", "encoder_sha256", "collapsed", "metrics"),
)


class Finished(NamedTuple):
    """What the figures and the report are made from.

    Attributes:
      folder: of the run.
      config: its config.json.
      record: its result.json.
      lines: its metrics.jsonl.
      sample: its sample.npz.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    lines: list[dict[str, Any]]
    sample: Sample

    @property
    def name(self) -> str:
        """Name the run in a title."""
        return f"{self.record['experiment']}, seed {self.record['seed']}"

    def measured(self, metric: str) -> float:
        """Look up a metric; NaN where the run does not have it or it has no finite value."""
        value = self.record["metrics"].get(metric)
        return float("nan") if value is None else value


def read(folder: Path) -> Finished:
    """Read a finished run.

    Raises:
      InputError: if the folder holds no run, one that has not finished, or a damaged file.
    """
    if not (folder / "config.json").exists():
        raise InputError(f"{folder} is not the folder of a run: it has no config.json")
    if not (folder / "result.json").exists():
        raise InputError(f"{folder} holds a run that has not finished: it has no result.json")
    config, record = record_of(folder / "config.json"), record_of(folder / "result.json")
    if missing := [key for key in KEYS if key not in record]:
        raise InputError(f"{folder / 'result.json'} is damaged: it lacks {', '.join(missing)}")
    return Finished(folder, config, record, log.read(folder / "metrics.jsonl"), sample.read(folder))


def record_of(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds one record; InputError if it is damaged."""
    try:
        record = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{file} is damaged: it must hold a record, got {type(record).__name__}")
    return record
