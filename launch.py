"""Train an image embedding and measure it: dataset × encoder × objective, as a config says; or a suite of them.

  python launch.py --config=configs/simclr_cifar.py
  python launch.py --config=configs/simclr_cifar.py --config.train.epochs=100 --seed=1 --workdir=runs/short
  python launch.py --config=configs/suite_mnist.py

The same command goes on where it stopped. A run's folder holds config.json, metrics.jsonl, checkpoint/ and,
in the end, result.json, sample.npz and figures/; a suite's folder holds those of its runs and report/.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

INTERRUPTED = "interrupted; the same command goes on from the last checkpoint"
FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "File of the experiment; --config.<section>.<key>=<value> overrides a value in it."
)
flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: checkpoints/<name of the config file>, and -seed<seed> if not 0)."
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own).")
flags.DEFINE_integer("seed", None, "Seed of the run (default: the config's).", lower_bound=0)
flags.DEFINE_bool("evaluate", False, "Measure again what is finished.")
flags.DEFINE_bool("tune", False, "Measure on the validation split alone: for choosing settings, test unseen.")


def main(_: Sequence[str]) -> None:
    """Run the experiment that the flags describe."""
    # Imported here, so that --help and a misspelt flag answer at once.
    from jaxembed import checkpoint, commands, log, run, suite, train
    from jaxembed.types import InputError

    checkpoint.hush()
    # While it trains, a run saves its state first.
    signal.signal(signal.SIGTERM, lambda *_: fail(INTERRUPTED, status=128 + signal.SIGTERM))
    config, file = FLAGS.config, Path(config_flags.get_config_filename(FLAGS["config"]))
    options = {"data_dir": FLAGS.data_dir, "again": FLAGS.evaluate}
    if FLAGS.tune and (FLAGS.evaluate or "experiments" in config):
        fail("--tune is of one run that is not finished: neither with --evaluate nor with a suite")
    try:
        if "experiments" in config:
            if FLAGS.seed is not None:
                fail(f"--seed is of one run; a suite has --config.seeds, such as --config.seeds='({FLAGS.seed},)'")
            suite.train(config, _folder(file.stem), configs=file.parent, **options)
        else:
            if FLAGS.seed is not None:
                config = ConfigDict({**config, "seed": FLAGS.seed})
            run.check_sections(config)  # before its seed is asked for
            overrides = config_flags.get_override_values(FLAGS["config"])
            command = commands.command(file, overrides, config.seed)
            folder = _folder(file.stem, config.seed)
            commands.conduct(file.stem, config, folder, command=command, tune=FLAGS.tune, **options)
    except InputError as error:
        fail(str(error))
    except OSError as error:  # a full disk, a file that may not be read
        fail(str(error), status=1)
    except (log.Diverged, commands.OutOfMemory, suite.Incomplete) as error:
        fail(str(error), status=1)
    except train.Stopped as stopped:
        fail(f"{stopped}; the same command goes on from here", status=128 + stopped.cause)
    except KeyboardInterrupt:
        fail(INTERRUPTED, status=128 + signal.SIGINT)


def _folder(name: str, seed: int = 0) -> Path:
    """Return the folder that --workdir says, else a run's or a suite's own."""
    if FLAGS.workdir:
        return Path(FLAGS.workdir).expanduser()
    return Path("checkpoints", f"{name}-seed{seed}" if seed else name)


def parse(argv: Sequence[str]) -> list[str]:
    """Parse the flags; what cannot be used is one line and exit status 2."""
    if "--help" in argv:
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        rest = FLAGS(argv)
        hasattr(FLAGS.config, "keys")  # a file that is not there raises only when its config is looked into
    except Exception as error:  # a config file is code and can raise anything
        fail(_reason(error, _config_file(argv)))
    if rest[1:]:
        fail(f"unexpected arguments: {' '.join(rest[1:])}")
    if not isinstance(FLAGS.config, ConfigDict):
        fail(
            f"--config: get_config must return a ConfigDict, got {type(FLAGS.config).__name__}"
            if FLAGS["config"].present
            else "--config is required, such as --config=configs/quickstart.py"
        )
    if FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.WARNING)  # JAX tells of devices that are not there, orbax of every file
        # Orbax also logs each failure that it raises.
        logging.get_absl_logger().addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
    return rest


def _config_file(argv: Sequence[str]) -> str:
    """Find the value of --config, the last one, in words that may not parse."""
    file = ""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in ("--config", "-config"):
            file = value or following
    return file.partition(":")[0]


def _reason(error: Exception, file: str) -> str:
    """Say in one line why the flags or the config file could not be used."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    text = str(error.args[0] if error.args else error).strip()
    if isinstance(error, flags.Error):
        # A config that raised comes as its whole traceback, whose last line is the error.
        return f"{file}: {text.splitlines()[-1]}" if "Traceback" in text else text
    if isinstance(error, OSError) and not Path(file).is_file():
        return f"--config={file}: there is no such file"
    if isinstance(error, AttributeError) and "get_config" in text:
        return f"{file} has no function get_config"
    if isinstance(error, AttributeError | KeyError):
        return f"the config has no key {text}"
    return f"{file}: {type(error).__name__}: {error}"


def fail(text: str, *, status: int = 2) -> NoReturn:
    """Print one line to standard error and exit."""
    print("launch.py:", " ".join(text.split()), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
