"""Config files: what `get_config` returns, or one line that says why a file or an override cannot be used.

ml_collections parses the overrides, `--config.<section>.<key>=<value>`. It would load the file with `load_module`,
which Python 3.15 no longer has, so the file is loaded here. The package comes with the repository's configs, which
have names: `--config=quickstart`.
"""

import contextlib
import difflib
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxembed.core import files
from jaxembed.core.errors import InputError

# A link to the repository's folder, whose files are copied when the package is built.
PACKAGED = Path(__file__).parent / "configs"
flags.disclaim_key_flags()  # --help lists a program's flags, and the one defined here belongs to the caller


class _Parser(flags.ArgumentParser):
    """Parses `<file>` or `<file>:<argument>`; get_config takes the argument."""

    def parse(self, argument: str) -> ConfigDict:
        file, *given = argument.split(":", 1)
        return load(find(file), *given)


class _Number(flags.ArgumentParser):
    """Parses any number for a value that is one: whether it may be a share, its option says."""

    def parse(self, argument: str | int | float) -> int | float:
        for parser in (flags.IntegerParser(), flags.FloatParser()):
            with contextlib.suppress(ValueError, TypeError):
                return parser.parse(argument)
        raise ValueError("invalid number")


def define_flag() -> None:
    """Define --config, and with it the override of every value in the file."""
    for kind in (int, float):
        config_flags.register_flag_parser_for_type(kind, _Number())
    config_flags.DEFINE_config_file(
        "config",
        None,
        "File of the experiment; --config.<section>.<key>=<value> overrides a value in it.",
        # A dataset has options that the config's own does not have; one that nothing takes is an error later.
        accept_new_attributes=True,
        lock_config=False,
    )
    flags.FLAGS["config"].parser = _Parser()


def names() -> list[str]:
    """List the configs that come with the package."""
    return sorted(file.stem for file in PACKAGED.glob("*.py") if "def get_config(" in file.read_text("utf-8"))


def find(name: str) -> Path:
    """Find a config: a file, or the name of one that comes with the package; InputError if there is none."""
    if name and files.expanded(name).is_file():
        return files.expanded(name)
    if name in names():
        return PACKAGED / f"{name}.py"
    near = difflib.get_close_matches(Path(name).stem, names(), n=1)
    hint = f" (did you mean {near[0]!r}, which comes with jaxembed?)" if near else ""
    raise InputError(f"--config={name}: there is no such file{hint}")


def load(file: Path | str, *given: str) -> ConfigDict:
    """Return what the function get_config of a file returns.

    Args:
      file: the config file.
      given: the arguments of get_config.

    Raises:
      InputError: if the file cannot be run, or makes no ConfigDict.
    """
    try:
        with _importable(Path(file).parent):
            get_config = runpy.run_path(str(file)).get("get_config")
            config = get_config(*given) if get_config else None
    except Exception as error:  # a config file is code and can raise anything
        raise InputError(f"{file}: {type(error).__name__}: {error}") from error
    if not get_config:
        raise InputError(f"{file} has no function get_config")
    if not isinstance(config, ConfigDict):
        raise InputError(f"{file}: get_config must return a ConfigDict, got {type(config).__name__}")
    # The type of a value here is not the one its option must have, which is checked when it is used.
    return ConfigDict(config.to_dict(preserve_field_references=True), type_safe=False)


def is_suite(config: ConfigDict) -> bool:
    """Return whether a config is that of a suite, rather than of one experiment."""
    return "experiments" in config


def reason(error: Exception) -> str:
    """Say in one line why the flags could not be parsed."""
    text = str(error.args[0] if error.args else error).strip()
    if isinstance(error, flags.Error | InputError):
        return text
    if isinstance(error, AttributeError | KeyError):
        return f"the config has no key {text}"
    return f"--config: {type(error).__name__}: {text}"


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a config file import others of its folder, and of the package, by `from configs import protocols`."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "configs"}
    for name in before:
        del sys.modules[name]
    configs = sys.modules["configs"] = ModuleType("configs")
    configs.__path__ = [str(folder), str(PACKAGED)]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "configs"]:
            del sys.modules[name]
        sys.modules.update(before)
