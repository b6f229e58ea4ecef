"""A finished run, as its folder tells it: no model and no dataset is needed to look at it."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxembed import log, sample
from jaxembed.runs import workdir
from jaxembed.sample import Sample
from jaxembed.types import InputError

# What figures and reports need of a result.json, which result.make writes, and of a config.json.
KEYS = (
    *("experiment", "command", "dataset", "encoder", "objective", "seed", "distance", "steps", "epochs"),
    *("device", "parameters", "train_seconds", "images_per_second", "versions", "encoder_sha256", "collapsed"),
    "metrics",
)
SECTIONS = ("data", "encoder", "objective", "train", "evaluate")


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
    file = folder / "config.json"
    if not file.exists():
        raise InputError(f"{folder} is not the folder of a run: it has no config.json")
    if not (folder / "result.json").exists():
        raise InputError(f"{folder} holds a run that has not finished: it has no result.json")
    config, record, lines = workdir.read(file), result(folder), log.read(folder / "metrics.jsonl")
    if missing := [name for name in SECTIONS if not isinstance(config.get(name), dict)]:
        raise InputError(f"{file} is damaged: it lacks {', '.join(missing)}")
    if not any("train/loss" in line for line in lines):
        raise InputError(f"{folder} has no training in its metrics.jsonl")
    return Finished(folder, config, record, lines, sample.read(folder))


def result(folder: Path) -> dict[str, Any]:
    """Read a run's result.json; InputError if it is damaged."""
    file = folder / "result.json"
    record = workdir.read(file)
    if missing := [key for key in KEYS if key not in record]:
        raise InputError(f"{file} is damaged, or of an earlier version: it lacks {', '.join(missing)}")
    metrics = record["metrics"]
    if not isinstance(metrics, dict) or not all(isinstance(v, int | float | None) for v in metrics.values()):
        raise InputError(f"{file} is damaged: its metrics must be numbers by name")
    return record
