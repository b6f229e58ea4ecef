"""Train an image embedding and measure it: dataset × encoder × objective, as a config says.

  python launch.py --config=configs/simclr_cifar.py
  python launch.py --config=configs/simclr_cifar.py --config.train.epochs=100 --seed=1 --workdir=runs/short

The same command goes on where it stopped. A run's folder holds config.json, metrics.jsonl, checkpoint/ and,
in the end, result.json.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "File of the experiment; --config.<section>.<key>=<value> overrides a value in it."
)
flags.DEFINE_string("workdir", None, "Folder of the run (default: checkpoints/<name of the config file>).")
flags.DEFINE_string("data_dir", None, "Folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own).")
flags.DEFINE_integer("seed", None, "Seed of the run (default: the config's).", lower_bound=0)
flags.DEFINE_bool("evaluate", False, "Evaluate a finished run again.")


def main(_: Sequence[str]) -> None:
    """Run the experiment that the flags describe."""
    # Imported here, so that --help and a misspelt flag answer at once.
    from jaxembed import log, train
    from jaxembed.types import InputError

    name = Path(config_flags.get_config_filename(FLAGS["config"])).stem
    folder = Path(FLAGS.workdir).expanduser() if FLAGS.workdir else Path("checkpoints", name)
    try:
        run(name, FLAGS.config, folder, data_dir=FLAGS.data_dir, seed=FLAGS.seed, again=FLAGS.evaluate)
    except InputError as error:
        fail(str(error))
    except log.Diverged as error:
        fail(str(error), status=1)
    except train.Stopped as stopped:
        fail(f"{stopped}; the same command goes on from here", status=128 + stopped.cause)
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from the last checkpoint", status=130)


def run(
    name: str, config: ConfigDict, folder: Path, *, data_dir: str | None, seed: int | None, again: bool
) -> None:
    """Train if the run is not finished, evaluate, and write what came out.

    Args:
      name: of the experiment.
      config: what to run.
      folder: of the run.
      data_dir: of the TFDS datasets; None for the default.
      seed: instead of the config's; None for the config's.
      again: evaluate a finished run again.

    Raises:
      InputError: if any of that cannot be used; the folder is then as it was.
    """
    from jaxembed import evaluate, experiment, result, train, workdir
    from jaxembed.types import InputError

    if seed is not None:
        config = ConfigDict({**config, "seed": seed})
    experiment.check_sections(config)
    with workdir.opened(folder):
        workdir.check(config, folder)
        finished = (folder / "result.json").exists()
        if finished and not again:
            print(f"{name} is finished; --evaluate measures it again")
            show(json.loads((folder / "result.json").read_text()), folder)
            return
        dataset = experiment.load(config, data_dir=data_dir)
        parts = experiment.build(config, dataset)
        if finished and not (folder / "checkpoint" / str(parts.total_steps)).exists():
            raise InputError(f"--workdir {folder} has no checkpoint of its last step to evaluate again")
        workdir.write("config.json", config.to_json(indent=2) + "\n", folder)
        print(f"{name}: {dataset.name} × {config.encoder.name} × {config.objective.name}, on {result.device()}")
        state = train.fit(parts, dataset, folder, seed=config.seed)
        metrics = evaluate.evaluate(parts, state, dataset)
        record = result.make(name, config, parts, state, metrics, folder)
        workdir.write("result.json", json.dumps(record, indent=2) + "\n", folder)
        show(record, folder)


def show(record: dict[str, Any], folder: Path) -> None:
    """Print what a run came to, and where its files are."""
    rate = f", {record['images_per_second']:,.0f} images/s" if record["images_per_second"] else ""
    print(f"{record['steps']} steps in {record['train_seconds']:.1f} s{rate}")
    for metric, value in record["metrics"].items():
        print(f"  {metric:28s} {value:.4f}")
    if record["collapsed"]:
        print("The run has collapsed: what it makes of different images is all but the same.")
    print(f"Files: {folder}/")


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
        logging.set_verbosity(logging.WARNING)  # orbax tells of every file at INFO
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
