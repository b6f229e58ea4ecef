"""The program: what launch.py's flags ask for, a run or a suite."""

import shlex
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxembed.artifacts import identity
from jaxembed.cli import config_file
from jaxembed.core import files
from jaxembed.devices import processes
from jaxembed.jobs import commands, suite
from jaxembed.jobs.job import Job, command_of, pinned
from jaxembed.run import build
from jaxembed.train import trackers


def run(asked: flags.FlagValues) -> None:
    """Run the experiment or the suite that the flags describe; the errors are those of `commands` and `suite`."""
    if asked.track:
        trackers.require(asked.track)
    name = config_flags.get_config_filename(asked["config"])
    file = files.expanded(name) if ":" in name else config_file.find(name)  # after a colon, get_config's argument
    processes.compare(_notes(asked, file))
    if config_file.is_suite(asked.config):
        options = {"data_dir": asked.data_dir, "track": asked.track, "again": asked.evaluate}
        suite.train(asked.config, _folder(asked, file.stem), configs=file.parent, **options)
        return
    job = _job(asked, file)
    if asked.tune:
        commands.tune(job)
    elif asked.evaluate:
        commands.evaluate(job)
    else:
        commands.train(job)


def _notes(asked: flags.FlagValues, file: Path) -> dict[str, Any]:
    """Note what the processes of a run must be asked alike; --data_dir may be another one on each machine."""
    what = {"what --config describes": "a suite" if config_file.is_suite(asked.config) else "a run"}
    named = {"the name of --config": file.stem}
    told = {f"--{name}": getattr(asked, name) for name in ("evaluate", "tune", "track", "name", "workdir")}
    return what | told | named | identity.flatten(_config(asked).to_dict())


def _job(asked: flags.FlagValues, file: Path) -> Job:
    config = _config(asked)
    build.check(config)  # before its seed is used
    name = asked.name or file.stem
    line = command_of(file, config_flags.get_override_values(asked["config"]), config.seed)
    line += f" {shlex.quote(f'--name={name}')}" if asked.name else ""
    folder = _folder(asked, f"{name}-seed{config.seed}" if config.seed else name)
    return Job(name, pinned(config, folder), folder, line, asked.data_dir, asked.track)


def _config(asked: flags.FlagValues) -> ConfigDict:
    return asked.config if asked.seed is None else ConfigDict({**asked.config, "seed": asked.seed})


def _folder(asked: Any, name: str) -> Path:
    """Return the folder that --workdir says, else the one with this name."""
    return Path(asked.workdir) if asked.workdir else Path("checkpoints", name)
