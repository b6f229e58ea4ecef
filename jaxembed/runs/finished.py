"""A finished run, read from its folder: neither its model nor its dataset is needed to look at it."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxembed import files
from jaxembed.errors import InputError
from jaxembed.runs import identity, metrics, sample, workdir
from jaxembed.runs.metrics import Line
from jaxembed.runs.sample import Sample

# What figures and reports need of a result.json, which result.make writes, and of a config.json.
KEYS = (
    *("experiment", "command", "dataset", "encoder", "objective", "seed", "distance", "steps", "epochs"),
    *("device", "parameters", "train_seconds", "images_per_second", "versions", "encoder_sha256", "collapsed"),
    "metrics",
)
SECTIONS = ("data", "encoder", "objective", "train", "evaluate")


class Finished(NamedTuple):
    """A finished run: what figures and reports are made from.

    Attributes:
      folder: of the run.
      config: its config.json, as this version writes it.
      record: its result.json.
      lines: its metrics.jsonl.
      sample: its sample.npz.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    lines: list[Line]
    sample: Sample

    @property
    def name(self) -> str:
        """Name the run in a title."""
        return f"{self.record['experiment']}, seed {self.record['seed']}"

    @property
    def split(self) -> str:
        """Name the split that figures and reports show: test, or where there is none validation, or train."""
        return self.record.get("split", "test")

    @property
    def is_labelled(self) -> bool:
        """Whether the images that it was measured on have labels."""
        return self.sample.labels is not None

    def evaluated(self, metric: str) -> float:
        """Return a metric of the split that is shown, as `measured`."""
        return self.measured(f"{self.split}/{metric}")

    def measured(self, metric: str) -> float:
        """Return a metric; NaN where the run does not have it or it has no finite value."""
        value = self.record["metrics"].get(metric)
        return float("nan") if value is None else value


def read(folder: Path) -> Finished:
    """Read a finished run.

    Raises:
      InputError: if the folder holds no run, an unfinished one, or a damaged file.
    """
    file = folder / workdir.CONFIG
    if not file.exists():
        raise InputError(f"{folder} is not a run's folder: it has no {workdir.CONFIG}")
    if not (folder / workdir.RESULT).exists():
        raise InputError(f"{folder} holds an unfinished run: it has no {workdir.RESULT}")
    config, record = identity.current(files.read_json(file)), result(folder)
    lines = metrics.read(folder / workdir.METRICS)
    if missing := [name for name in SECTIONS if not isinstance(config.get(name), dict)]:
        raise InputError(f"{file} is damaged: it lacks {', '.join(missing)}")
    if not any("train/loss" in line for line in lines):
        raise InputError(f"{folder} has no training in its {workdir.METRICS}")
    return Finished(folder, config, record, lines, sample.read(folder))


def result(folder: Path) -> dict[str, Any]:
    """Read a run's result.json; InputError if it is damaged."""
    file = folder / workdir.RESULT
    record = files.read_json(file)
    if missing := [key for key in KEYS if key not in record]:
        raise InputError(f"{file} is damaged, or from an earlier version: it lacks {', '.join(missing)}")
    values = record["metrics"]
    if not isinstance(values, dict) or not all(isinstance(value, int | float | None) for value in values.values()):
        raise InputError(f"{file} is damaged: its metrics must be numbers by name")
    return record
