"""What the commands `python -m jaxembed.<name>` share: argument parsing and one-line errors."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import logging

from jaxembed.cli import streams
from jaxembed.core import errors, files
from jaxembed.core.errors import InputError, JaxembedError

# Help texts of the arguments that several commands have.
RUN = "a run folder, an encoder .safetensors file, or the name of a pretrained encoder"
DATA_DIR = "TFDS data directory (default: $TFDS_DATA_DIR, else ~/tensorflow_datasets)"
OVERWRITE = "replace the output if it exists"
IMAGES = "folder of the pictures (default: where the file of vectors says that they are)"


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
    return argparse.ArgumentParser(
        f"python -m jaxembed.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(name: str, main: Callable[[Sequence[str] | None], None], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors are printed as one line on standard error."""
    if sys.stdout is sys.__stdout__:  # not if a test captures it
        prepare()
    logging.set_verbosity(logging.ERROR)  # JAX warns about missing devices
    try:
        main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # e.g. `| head` closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (JaxembedError, OSError, KeyboardInterrupt) as error:
        text = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        print(f"{name}:", files.line(text), file=sys.stderr)
        return errors.status(error)
    return 0


def check_output(file: Path, *, overwrite: bool) -> None:
    """Raise an InputError if a file cannot be written, or exists and may not be replaced."""
    if file.is_dir():
        raise InputError(f"--output {file} is a folder")
    if file.exists() and not overwrite:
        raise InputError(f"--output {file} exists; use --overwrite to replace it")
    if not file.parent.is_dir():
        raise InputError(f"--output {file} cannot be written: folder {file.parent} does not exist")
