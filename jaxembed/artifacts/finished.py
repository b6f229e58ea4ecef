"""A finished run, read from its folder: neither its model nor its dataset is needed to look at it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxembed.artifacts import diagnosis, encoder_file, history, identity, samples, schema, workdir
from jaxembed.artifacts.diagnosis import Diagnosis
from jaxembed.artifacts.history import Line
from jaxembed.artifacts.samples import Sample
from jaxembed.core import files
from jaxembed.core.errors import InputError

# What figures and reports need of a result.json, which result.make writes; "metrics" has null where a metric has no
# finite value. TRAINED are missing for embeddings that were only measured.
RECORD = {
    "experiment": schema.TEXT,
    "command": schema.TEXT,
    "dataset": schema.TEXT,
    "split": schema.one_of("test", "validation", "train"),
    "encoder": schema.TEXT,
    "objective": schema.TEXT,
    "seed": schema.INTEGER,
    "distance": schema.TEXT,
    "evaluate": schema.OBJECT,
    "trained_on": schema.or_null(schema.TEXT),
    "steps": schema.COUNT,
    "epochs": schema.POSITIVE,
    "device": schema.TEXT,
    "parameters": schema.by_name(schema.COUNT),
    "parameters.encoder": schema.COUNT,
    "train_seconds": schema.NUMBER,
    "together": schema.COUNT,
    "images_per_second": schema.or_null(schema.NUMBER),
    "share_of_peak": schema.or_null(schema.NUMBER),
    "versions": schema.by_name(schema.TEXT),
    "encoder_sha256": schema.TEXT,
    "collapsed": schema.FLAG,
    "metrics": schema.by_name(schema.or_null(schema.NUMBER)),
}
TRAINED = ("steps", "epochs", "parameters", "parameters.encoder", "train_seconds", "images_per_second")
OPTIONAL = ("split", "evaluate", "together", "share_of_peak", "trained_on")
# The objective of a control: what an embedding has to beat, which the encoder's name says.
CONTROL = "control"
# What only an evaluation can make.
EVALUATED = (samples.FILE, encoder_file.FILE, diagnosis.FILE)
# And of a config.json.
CONFIG = {
    **dict.fromkeys(("data", "encoder", "objective", "train", "evaluate"), schema.OBJECT),
    "train.batch_size": schema.COUNT,
    "evaluate.neighbours": schema.COUNT,
    "evaluate.distance": schema.TEXT,
    "evaluate.views": schema.COUNT,
    "evaluate.augmentation": schema.by_name(schema.OBJECT),
    "evaluate.linear": schema.OBJECT,
    "evaluate.mlp": schema.OBJECT,
}


class Finished(NamedTuple):
    """A finished run: what figures and reports are made from.

    Attributes:
      folder: the run's folder.
      config: its config.json, as this version writes it.
      record: its result.json.
      lines: its metrics.jsonl, without values that are not finite.
      sample: its sample.npz.
      diagnosis: its diagnosis.npz, or None if an earlier version evaluated it.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    lines: list[Line]
    sample: Sample
    diagnosis: Diagnosis | None = None

    @property
    def name(self) -> str:
        """Name the run in a title."""
        return f"{self.record['experiment']}, seed {self.record['seed']}"

    @property
    def split(self) -> str:
        """Name the split that figures and reports show: test, or where there is none validation, or train."""
        return self.record.get("split", "test")

    @property
    def is_trained(self) -> bool:
        """Whether it was trained here, rather than an embedding that was made elsewhere and measured."""
        return "epochs" in self.record

    @property
    def is_control(self) -> bool:
        """Whether it is a control, which embeddings are compared with."""
        return is_control(self.record)

    @property
    def trained_on(self) -> str | None:
        """Name the dataset that its encoder was trained on; None if that is not known."""
        return self.record["dataset"] if self.is_trained else self.record.get("trained_on")

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
    try:
        return of(folder, files.read_json(file), result(folder))
    except (OSError, RecursionError) as error:
        raise InputError(f"{folder} cannot be read: {error}") from error


def of(folder: Path, config: Mapping[str, Any], record: dict[str, Any]) -> Finished:
    """Read the rest of a finished run, whose config.json and result.json are read already; InputError as `read`."""
    config, lines = identity.current(config), _finite(history.read(folder / workdir.METRICS))
    trained = "epochs" in record
    schema.check(folder / workdir.CONFIG, config, CONFIG, optional=() if trained else ("train.batch_size",))
    if trained and not any("train/loss" in line for line in lines):
        raise InputError(f"{folder} has no training in its {workdir.METRICS}")
    return Finished(folder, config, record, lines, samples.read(folder), diagnosis.read(folder))


def is_control(record: Mapping[str, Any]) -> bool:
    """Return whether a result is that of a control, which was measured but not trained."""
    return record.get("objective") == CONTROL and "epochs" not in record


def lacking(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Name the files that a finished run lacks, and that an evaluation can make from its last checkpoint."""
    if not (folder / workdir.CHECKPOINT / str(record.get("steps"))).exists():
        return []
    return [name for name in EVALUATED if not (folder / name).exists()]


def result(folder: Path) -> dict[str, Any]:
    """Read a run's result.json; InputError if it is damaged."""
    file = folder / workdir.RESULT
    record = files.read_json(file)
    missing = () if any(name in record for name in TRAINED) else TRAINED
    schema.check(file, record, RECORD, optional=(*OPTIONAL, *missing))
    for name, value in record["metrics"].items():
        if name.endswith("_sd") and value is not None and value < 0:
            raise InputError(f"{file} is damaged: metrics.{name}, a deviation, must be at least 0, got {value}")
    return record


def _finite(lines: list[Line]) -> list[Line]:
    finite = ({name: value for name, value in line.items() if schema.is_number(value)} for line in lines)
    return [line for line in finite if line.keys() >= set(history.ALWAYS)]


def together(record: Mapping[str, Any]) -> str:
    """Say how many runs a result's seconds are those of; nothing where it is one."""
    count = record.get("together", 1)
    return f" for {count} seeds side by side" if count > 1 else ""
