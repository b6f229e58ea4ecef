"""The reference: the run, or the config file, that --like names, whose protocol and splits a measurement takes."""

from typing import Any

from jaxembed.artifacts import identity
from jaxembed.cli import config_file
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import frozen
from jaxembed.run import build


def config(like: str | None) -> dict[str, Any]:
    """Read the config of a run, or of a config file, which is a program and is run; empty where none is named.

    Raises:
      InputError: if there is no such run or file, or the file does not make the config of one run.
    """
    if like is None:
        return {}
    if not like.endswith(".py"):
        return identity.current(frozen.saved(like).config)
    if not (file := files.expanded(like)).is_file():
        raise InputError(f"--like={like}: there is no such file")
    made = config_file.load(file)
    if config_file.is_suite(made):
        raise InputError(f"--like={like} is a suite; it must be a run, or the config file of one experiment")
    build.check(made)
    return identity.current(made.to_dict())
