"""A job: one run, and what is needed to start, to name and to hold it."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxembed import encoders
from jaxembed.artifacts import identity, workdir
from jaxembed.cli import config_file
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh, processes
from jaxembed.run import build, memory, origin
from jaxembed.run.run import Run
from jaxembed.types import Dataset


class Job(NamedTuple):
    """One run: what, with which options, where, and the command that reproduces it.

    Attributes:
      name: the experiment's name.
      config: the run's config.
      folder: the run's folder.
      command: the command that its result.json names.
      data_dir: of the TFDS datasets; None for the default.
      track: the name of a tracker that gets the log as well; empty for none.
      together: whether its seeds may train side by side.
    """

    name: str
    config: ConfigDict
    folder: Path
    command: str
    data_dir: str | None
    track: str = ""
    together: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds a result."""
        return (self.folder / workdir.RESULT).exists()

    @contextlib.contextmanager
    def held(self) -> Iterator[dict[str, Any] | None]:
        """Hold the run's folder for this process; yield the config.json in it, which agrees with the config.

        It is None if nothing was trained there yet.
        """
        build.check(self.config)
        with contextlib.ExitStack() as opened, memory.enough():
            with processes.first_goes_ahead():
                if processes.is_first():
                    opened.enter_context(workdir.opened(self.folder))
                there = workdir.read_config(self.folder)
                workdir.check(self.config, there, self.folder)
            processes.compare(self._notes())
            yield there

    def built(self) -> tuple[Dataset, Run]:
        """Load the dataset, make the parts of the run, and print what they are."""
        parsed = build.parse(self.config)
        with processes.first_goes_ahead():  # and prepares the dataset
            dataset = build.load(parsed, data_dir=self.data_dir)
        processes.compare(_notes(dataset), begins=True)
        parts = build.assemble(parsed, dataset, begun=workdir.holds_a_run(self.folder))
        names = " × ".join((dataset.name, self.config.encoder.name, self.config.objective.name))
        print(f"{self.name}: {names}, on {mesh.described()}")
        print(_described(dataset))
        return dataset, parts

    def _notes(self) -> dict[str, Any]:
        """Note the run's config and what its folder holds, which is the same folder for all processes."""
        kept = [each.name for each in (self.folder / workdir.CHECKPOINT).glob("[0-9]*") if each.name.isdecimal()]
        there = {"checkpoints": sorted(kept, key=int), workdir.RESULT: "there" if self.is_finished else "not there"}
        held = {f"{name} in {self.folder}": value for name, value in there.items()}
        return held | identity.flatten(self.config.to_dict())


def pinned(config: ConfigDict, folder: Path) -> ConfigDict:
    """Return a config with the SHA-256 of the weights that its encoder starts from, so that config.json has it.

    A run that has begun no longer needs them: if they cannot be read, they are the ones that it began with.

    Raises:
      InputError: if they cannot be read otherwise, or must have another SHA-256.
    """
    start = encoders.parse(config["encoder"]).origin
    if not start.start:
        return config
    with processes.first_goes_ahead():  # and downloads them
        try:
            sha256 = origin.read(start.start).sha256
        except InputError as error:
            began = identity.flatten(workdir.read_config(folder) or {})
            if not (sha256 := began.get("config.encoder.start_sha256")):
                raise
            print(f"{error}; not needed, because the run in {folder} has begun")
    origin.check_same(start, sha256)
    return ConfigDict({**config, "encoder": {**config["encoder"], "start_sha256": sha256}})


def command_of(file: Path, overrides: Mapping[str, Any], seed: int) -> str:
    """Write the command that runs a config file with other values for some of its options, nested or dotted."""
    flat = {key: value for key, value in identity.flatten(overrides).items() if key != "config.seed"}
    flat |= {key: value.to_dict() for key, value in flat.items() if isinstance(value, ConfigDict)}
    values = [f"--{key}={value}" for key, value in sorted(flat.items())]
    named = ["jaxembed", "train", file.stem]
    start = named if file.parent == config_file.PACKAGED else ["python", "launch.py", f"--config={file}"]
    return shlex.join([*start, *values, f"--seed={seed}"])


def _notes(dataset: Dataset) -> dict[str, Any]:
    """Note what a dataset holds."""
    splits = {split: getattr(dataset, split) for split in ("train", "validation", "test")}
    counts = {f"the number of {split} images": batch and len(batch.labels) for split, batch in splits.items()}
    classes = {"the number of classes": len(dataset.classes)}
    return {"the dataset": dataset.name} | counts | classes | {"SHA-256 of the dataset": dataset.sha256}


def _described(dataset: Dataset) -> str:
    """Say how many images there are and, where that is not as usual, what they are measured by."""
    counts = [
        f"{len(getattr(dataset, split).labels):,} {split}"
        for split in ("train", "validation", "test")
        if getattr(dataset, split) is not None
    ]
    count = len(dataset.classes)
    text = (
        f"{', '.join(counts)} images, {f'{count} classes' if count > 1 else 'one class' if count else 'no labels'}"
    )
    if dataset.measured[-1] != "test":
        text += f"; no test split: measured on {dataset.measured[-1]} images"
        text += "" if dataset.held_out else ", which it learns from"
    if dataset.classes and not dataset.is_labelled:
        text += "; too few held-out images in different classes, or in one, to measure by labels"
    return text
