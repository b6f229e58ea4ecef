"""The arguments of the program that trains: parsed, or refused in one line before anything heavy is imported."""

import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import flags, logging

from jaxembed.cli import config_file
from jaxembed.core import files
from jaxembed.core.errors import InputError

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # --help lists a program's flags, and those defined here belong to the caller
# What `jaxembed train` calls this process; whoever else trains is launch.py.
COMMAND = "jaxembed train"
LONGEST_NAME = 60


class _Path(flags.ArgumentParser):
    def parse(self, argument: str) -> str:
        return str(files.expanded(argument)) if argument else ""


def forget() -> None:
    """Forget the flags of a run before this one in the same process, as in a notebook."""
    if "config" in FLAGS:
        definer = FLAGS.find_module_defining_flag("config")
        for name in list(FLAGS):
            if name.startswith("config.") or FLAGS.find_module_defining_flag(name) == definer:
                delattr(FLAGS, name)


def define_path(name: str, description: str) -> None:
    """Define a flag that is a path, of which `~` is the home directory."""
    flags.DEFINE(_Path(), name, None, description)


def parse(argv: Sequence[str]) -> list[str]:
    """Parse the flags; what cannot be used ends in one line and exit status 2."""
    try:
        rest = FLAGS(argv)
    except Exception as error:  # an override can raise anything
        _fail(config_file.reason(error))
    if rest[1:]:
        _fail(f"unexpected arguments: {' '.join(rest[1:])}")
    if FLAGS.config is None:
        _fail("--config is required, such as --config=configs/quickstart.py")
    if FLAGS.tune and (FLAGS.evaluate or config_file.is_suite(FLAGS.config)):
        _fail("--tune works on a single unfinished run; it cannot be combined with --evaluate or a suite")
    if FLAGS.seed is not None and config_file.is_suite(FLAGS.config):
        _fail(f"--seed works on a single run; for a suite use --config.seeds='({FLAGS.seed},)'")
    if FLAGS.name is not None and (config_file.is_suite(FLAGS.config) or not _is_name(FLAGS.name)):
        _fail(f"--name must be letters, digits, spaces and . _ -, for a single run, got {FLAGS.name!r}")
    if FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.WARNING)  # JAX logs missing devices, orbax every file
        # Orbax also logs each failure that it raises.
        logging.get_absl_logger().addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
    return rest


def distributed(argv: Sequence[str]) -> str:
    """Return --distributed as it is written in a command whose other flags are refused."""
    alone = flags.FlagValues()
    flags.DEFINE_string("distributed", "off", "", flag_values=alone)
    try:
        alone(argv, known_only=True)
    except flags.Error:
        return "off"
    return alone.distributed


def line(text: str) -> str:
    """Write a message of the program on one line."""
    return f"{COMMAND if sys.argv[0] == COMMAND else 'launch.py'}: {files.line(text)}"


def _is_name(name: str) -> bool:
    return len(name) <= LONGEST_NAME and re.fullmatch(r"\w[\w .-]*", name) is not None


def _fail(text: str) -> NoReturn:
    print(line(text), file=sys.stderr, flush=True)
    raise SystemExit(InputError.status) from InputError(text)
