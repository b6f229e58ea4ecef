"""What the commands `jaxembed <name>` share: argument parsing and one-line errors."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from jaxembed.cli import streams
from jaxembed.core import errors, files
from jaxembed.core.errors import InputError, JaxembedError

# Help texts of the arguments that several commands have.
RUN = "a run folder, an encoder file (.safetensors, .onnx), or the name of a pretrained encoder"
OPTIONAL_RUN = f"{RUN}; without it, vectors are used as they are, from any tool"
DATA_DIR = "TFDS data directory (default: $TFDS_DATA_DIR, else ~/tensorflow_datasets)"
OVERWRITE = "replace the output if it exists"
IMAGES = "folder of the pictures (default: where the file of vectors says that they are)"
DISTANCE = "default: the encoder's or the file's, else cosine"
VECTORS = "a file of vectors: .npz, .npy or .parquet, from jaxembed.embed or elsewhere"


def prepare() -> None:
    """Prepare the process for a program; call this first."""
    streams.prepare()
    # Figures are files: the display of a notebook, whose environment a shell in it inherits, is not for us.
    os.environ["MPLBACKEND"] = "agg"


def leave(status: int, *, within: float = 10) -> None:
    """End the process with this status within a number of seconds, however it ends.

    Where a save fails early, threads of orbax wait for it for twenty minutes, and Python waits for them.
    """
    timer = threading.Timer(within, os._exit, [status])
    timer.daemon = True
    timer.start()


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Make a command's argument parser."""
    return _Parser(
        f"jaxembed {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is what in a file of vectors from elsewhere."""
    for what, more in (("embeddings", ""), ("names", ", or a text file of names, one per line"), ("labels", "")):
        text = f"array or column of the {what}{more}, if a file from elsewhere has several"
        parser.add_argument(f"--{what}", default="", metavar="NAME", help=text)


class _Parser(argparse.ArgumentParser):
    """Refuses arguments as other input is refused: in one line, without the usage, which --help shows."""

    def error(self, message: str) -> None:
        raise InputError(f"{message}; --help shows the arguments")


def path(argument: str) -> Path:
    """Make the path that an argument is, of which `~` is the home directory; for argparse."""
    return files.expanded(argument)


def source(argument: str) -> str:
    """Return an argument that is a path or a name, such as a dataset's, as it is but for `~`; for argparse."""
    return str(path(argument)) if argument.startswith("~") or not argument else argument


def run(name: str, main: Callable[[Sequence[str] | None], Any], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, `main`'s own if it has one; errors are printed as one line."""
    if sys.stdout is sys.__stdout__:  # not if a test captures it
        prepare()
    logging.set_verbosity(logging.ERROR)  # JAX warns about missing devices
    with streams.escaped():
        return _run(name, main, arguments)


def check_output(file: Path, *, overwrite: bool, option: str = "--output") -> None:
    """Raise an InputError if a file that an option names cannot be written, or exists and may not be replaced."""
    if kind := files.other_kind(file):
        raise InputError(f"{option} {file} is {kind}")
    if file.exists() and not overwrite:
        raise InputError(f"{option} {file} exists; use --overwrite to replace it")
    folder = Path(os.path.realpath(file)).parent if file.is_symlink() else file.parent
    if not folder.is_dir():
        raise InputError(f"{option} {file} cannot be written: folder {folder} does not exist")
    check_folder(folder, file, option=option)


def check_folder(folder: Path, output: Path | None = None, *, option: str = "--output") -> None:
    """Raise an InputError if nothing can be written into a folder, which may not exist yet.

    Args:
      folder: the folder.
      output: what is to be written, if that is not the folder itself.
      option: the option that names it.
    """
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "is read-only" if there.is_dir() else "is not a folder"
        raise InputError(f"{option} {output or folder} cannot be written: {there} {reason}")


def _run(name: str, main: Callable[[Sequence[str] | None], Any], arguments: Sequence[str] | None) -> int:
    try:
        status = main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # e.g. `| head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (JaxembedError, OSError, KeyboardInterrupt) as error:
        text = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        print(f"{name}: {files.line(text)}", file=sys.stderr)
        return errors.status(error)
    return status or 0
