"""Launch: the program that trains, as launch.py and as `jaxembed train`: its flags, and how it ends."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import app, flags

from jaxembed.cli import command, config_file, launch_flags, signals, streams

FLAGS = flags.FLAGS


def start(description: str, *, owns_process: bool) -> NoReturn:
    """Parse the arguments of this process, and run what they describe.

    Args:
      description: what --help begins with.
      owns_process: whether the process ends with the program, as it does unless a notebook runs it.

    Raises:
      SystemExit: at the end.
    """
    define()
    if "--help" in sys.argv:
        print(f"{description}\n{FLAGS.module_help(__name__)}")
        sys.exit(0)
    if owns_process:
        command.prepare()
        streams.outlive()
    try:
        app.run(main, flags_parser=parse)
    except SystemExit as ended:
        if owns_process and ended.code:
            command.leave(ended.code)
        raise


def define() -> None:
    """Define the flags, in place of those of an earlier run in this process."""
    launch_flags.forget()
    config_file.define_flag()
    launch_flags.define_path(
        "workdir", "Folder of the run (default: checkpoints/<config>, plus -seed<seed> unless the seed is 0)."
    )
    launch_flags.define_path("data_dir", "Folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own).")
    flags.DEFINE_string(
        "name", None, "The experiment's name, in reports and of its folder (default: the config's)."
    )
    flags.DEFINE_integer("seed", None, "Seed of the run (default: the config's).", lower_bound=0)
    flags.DEFINE_bool("evaluate", False, "Measure finished runs again.")
    flags.DEFINE_bool("tune", False, "Measure on validation only, for choosing settings: test is not used.")
    flags.DEFINE_string(
        "distributed",
        "off",
        "Run on the devices of several processes, each started with this command: auto (Slurm, Open MPI, "
        "Kubernetes, Cloud TPU), off, or <coordinator>:<port>,<processes>,<id>.",
    )
    flags.DEFINE_string(
        "track", "", "Tracker that gets the metrics as well: mlflow, tensorboard, trackio or wandb."
    )


def main(_: Sequence[str]) -> None:
    """Run what the flags describe."""
    # Imported here, so that --help and a misspelt flag are answered at once.
    from jaxembed.core import errors
    from jaxembed.devices import ending, mesh, processes

    try:
        processes.start(FLAGS.distributed)
        # Only now, so that the others learn it where a library cannot be imported.
        from jaxembed.jobs import program
        from jaxembed.train import checkpoint

        checkpoint.hush()
        if processes.count() > 1:  # which the others learn
            signals.handle_all(
                lambda number, _: ending.end(launch_flags.line(signals.RESUMABLE), status=128 + number)
            )
        mesh.check_devices()
        program.run(FLAGS)
    except (errors.JaxembedError, OSError, KeyboardInterrupt) as error:
        if isinstance(error, TimeoutError) and processes.count() > 1:  # orbax, waiting for a process that is lost
            ending.unexpected(error)
        text = signals.RESUMABLE if isinstance(error, KeyboardInterrupt) else str(error)
        together = isinstance(error, errors.Stopped | errors.Diverged)
        ending.end(launch_flags.line(text), status=errors.status(error), together=together)
    except Exception as error:
        ending.unexpected(error)


def parse(argv: Sequence[str]) -> list[str]:
    """Parse the flags; a process of several that refuses them tells the others."""
    try:
        return launch_flags.parse(argv)
    except SystemExit as refused:
        if refused.code and (way := launch_flags.distributed(argv)) != "off":
            from jaxembed.devices import processes

            processes.refuse(way, str(refused.__cause__), status=refused.code)
        raise
