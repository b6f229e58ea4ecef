"""Train an image embedding and measure it: dataset × encoder × objective, as a config says; or a suite of them.

  python launch.py --config=configs/simclr_cifar.py
  python launch.py --config=configs/simclr_cifar.py --config.train.epochs=100 --seed=1 --workdir=runs/short
  python launch.py --config=configs/suite_mnist.py

Run the same command again to resume a run that was stopped. A run's folder holds config.json, metrics.jsonl,
checkpoint/ and, at its end, result.json, sample.npz, diagnosis.npz, encoder.safetensors, figures/ and doctor/; a
suite's folder holds those of its runs and report/.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from jaxembed.cli import command, config_file, hugepages, streams
from jaxembed.core import files

INTERRUPTED = "interrupted; run the same command again to resume from the last checkpoint"
FLAGS = flags.FLAGS
config_file.define_flag()
flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: checkpoints/<config>, plus -seed<seed> unless the seed is 0)."
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own).")
flags.DEFINE_integer("seed", None, "Seed of the run (default: the config's).", lower_bound=0)
flags.DEFINE_bool("evaluate", False, "Measure finished runs again.")
flags.DEFINE_bool("tune", False, "Measure on the validation split only, for choosing settings: test is not used.")
flags.DEFINE_string(
    "distributed",
    "off",
    "Run on the devices of several processes, each started with this command: auto (Slurm, Open MPI, Kubernetes, "
    "Cloud TPU), off, or <coordinator>:<port>,<processes>,<id>.",
)
flags.DEFINE_bool("tensorboard", False, "Write the metrics as TensorBoard events as well.")


def main(_: Sequence[str]) -> None:
    """Run what the flags describe."""
    # Imported here, so that --help and a misspelt flag are answered at once.
    from jaxembed.cli import signals
    from jaxembed.core import errors
    from jaxembed.devices import mesh, processes
    from jaxembed.train import checkpoint

    checkpoint.hush()
    try:
        processes.start(FLAGS.distributed)
        # While it trains, a run saves its state first.
        signals.handle_all(lambda number, _: processes.end(_line(INTERRUPTED), status=128 + number))
        mesh.check_devices()
        _suite() if _is_suite() else _run()
    except (errors.JaxembedError, OSError, KeyboardInterrupt) as error:
        text = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
        together = isinstance(error, errors.Stopped | errors.Diverged)
        processes.end(_line(text), status=errors.status(error), together=together)
    except Exception as error:
        processes.unexpected(error)


def _run() -> None:
    from jaxembed.jobs import commands
    from jaxembed.jobs.job import Job, command_of
    from jaxembed.run import build

    file, config = _file(), FLAGS.config
    if FLAGS.seed is not None:
        config = ConfigDict({**config, "seed": FLAGS.seed})
    build.check(config)  # before its seed is used
    overrides = config_flags.get_override_values(FLAGS["config"])
    line = command_of(file, overrides, config.seed)
    name = f"{file.stem}-seed{config.seed}" if config.seed else file.stem
    job = Job(file.stem, config, _folder(name), line, FLAGS.data_dir, FLAGS.tensorboard)
    if FLAGS.tune:
        commands.tune(job)
    elif FLAGS.evaluate:
        commands.evaluate(job)
    else:
        commands.train(job)


def _suite() -> None:
    from jaxembed.jobs import suite

    flagged = dict(data_dir=FLAGS.data_dir, tensorboard=FLAGS.tensorboard, again=FLAGS.evaluate)
    suite.train(FLAGS.config, _folder(_file().stem), configs=_file().parent, **flagged)


def _is_suite() -> bool:
    return "experiments" in FLAGS.config


def _file() -> Path:
    """Return the config file."""
    return Path(config_flags.get_config_filename(FLAGS["config"]))


def _folder(name: str) -> Path:
    """Return the folder that --workdir says, else the one with this name."""
    return files.expanded(FLAGS.workdir) if FLAGS.workdir else Path("checkpoints", name)


def parse(argv: Sequence[str]) -> list[str]:
    """Parse the flags; input that cannot be used ends in one line and exit status 2."""
    if "--help" in argv:
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        rest = FLAGS(argv)
    except Exception as error:  # an override can raise anything
        fail(config_file.reason(error))
    if rest[1:]:
        fail(f"unexpected arguments: {' '.join(rest[1:])}")
    if FLAGS.config is None:
        fail("--config is required, such as --config=configs/quickstart.py")
    if FLAGS.tune and (FLAGS.evaluate or _is_suite()):
        fail("--tune works on a single unfinished run; it cannot be combined with --evaluate or a suite")
    if FLAGS.seed is not None and _is_suite():
        fail(f"--seed works on a single run; for a suite use --config.seeds='({FLAGS.seed},)'")
    if FLAGS.tensorboard and not _is_installed("tensorboardX"):
        fail("--tensorboard needs tensorboardX: pip install 'jaxembed[tensorboard]'")
    if FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.WARNING)  # JAX logs missing devices, orbax every file
        # Orbax also logs each failure that it raises.
        logging.get_absl_logger().addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
    return rest


def _is_installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


def fail(text: str, *, status: int = 2) -> NoReturn:
    """Print one line to standard error and exit."""
    print(_line(text), file=sys.stderr)
    sys.exit(status)


def _line(text: str) -> str:
    return f"launch.py: {files.line(text)}"


if __name__ == "__main__":
    hugepages.ask()
    command.prepare()
    streams.outlive()
    try:
        app.run(main, flags_parser=parse)
    except SystemExit as ended:
        if ended.code:
            command.leave(ended.code)
        raise
