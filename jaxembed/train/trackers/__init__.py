"""Trackers: services that show a run's metrics as it trains, beside metrics.jsonl; one module each.

A module has EXTRA, the extra of jaxembed that installs what it needs, PACKAGE, what that is imported as, and a
class `Tracker` with `__init__(folder, config, step)`, `log(step, values)` and `close()`.
"""

import importlib.util
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from jaxembed.artifacts import workdir
from jaxembed.core import files, options
from jaxembed.core.errors import InputError


def names() -> tuple[str, ...]:
    """List the trackers."""
    return options.names(sys.modules[__name__])


def require(name: str) -> None:
    """Raise an InputError unless what a tracker needs is installed."""
    module = options.find(sys.modules[__name__], name, what="--track")
    if not importlib.util.find_spec(module.PACKAGE):
        raise InputError(f"--track={name} needs {module.PACKAGE}: pip install 'jaxembed[{module.EXTRA}]'")


class Tracked:
    """A run in a tracker. A tracker that fails once it is open is left alone, with a warning: the run goes on."""

    def __init__(self, name: str, folder: Path, *, step: int) -> None:
        """Open a tracker for a run that starts, or resumes, after `step`.

        Args:
          name: the tracker's name.
          folder: the run's folder, whose config.json the tracker gets.
          step: the step of the state that training resumes from; lines beyond it come again.

        Raises:
          InputError: if the tracker cannot be opened, such as without the key of an account.
        """
        require(name)
        self.name = name
        module, config = importlib.import_module(f"{__name__}.{name}"), folder / workdir.CONFIG
        try:
            self.tracker = module.Tracker(folder, files.read_json(config) if config.exists() else {}, step)
        except Exception as error:
            raise InputError(f"--track={name}: {_line(error)}") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log values by name at a step."""
        self._call("log", step, values)

    def close(self) -> None:
        """Wait until everything is written."""
        self._call("close")
        self.tracker = None

    def _call(self, method: str, *arguments: Any) -> None:
        try:
            if self.tracker:
                getattr(self.tracker, method)(*arguments)
        except Exception as error:  # nothing that a service does may cost a run
            logging.warning("--track=%s failed, and gets no more of this run: %s", self.name, _line(error))
            self.tracker = None


def identifier(folder: Path, name: str) -> str:
    """Return the random name of a run in a tracker, which a file in the run's folder keeps for when it resumes."""
    file = folder / f"{name}.id"
    if not file.exists():
        file.write_text(secrets.token_hex(8))
    return file.read_text()


def _line(error: Exception) -> str:
    first, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first}"
