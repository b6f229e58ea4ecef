"""Train an image embedding and measure it: dataset × encoder × objective, as a config says; or a suite of them.

  python launch.py --config=configs/simclr_cifar.py
  python launch.py --config=configs/simclr_cifar.py --config.train.epochs=100 --seed=1 --workdir=runs/short
  python launch.py --config=configs/suite_mnist.py

Run the same command again to resume a run that was stopped. A run's folder holds config.json, metrics.jsonl,
checkpoint/ and, at its end, result.json, sample.npz, diagnosis.npz, encoder.safetensors, figures/ and doctor/; a
suite's folder holds those of its runs and report/.
"""

import sys

from jaxembed.cli import hugepages, signals

INTERRUPTED = "interrupted; run the same command again to resume from the last checkpoint"
# Python was started with this file; a notebook that runs it continues afterwards.
OWN = sys._getframe().f_back is None
if OWN:  # before anything heavy is imported
    signals.begin("launch.py", INTERRUPTED)
    hugepages.ask()

from collections.abc import Sequence  # noqa: E402

from absl import app, flags  # noqa: E402

from jaxembed.cli import command, config_file, launch_flags, streams  # noqa: E402

FLAGS = flags.FLAGS
launch_flags.forget()
config_file.define_flag()
launch_flags.define_path(
    "workdir", "Folder of the run (default: checkpoints/<config>, plus -seed<seed> unless the seed is 0)."
)
launch_flags.define_path("data_dir", "Folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own).")
flags.DEFINE_integer("seed", None, "Seed of the run (default: the config's).", lower_bound=0)
flags.DEFINE_bool("evaluate", False, "Measure finished runs again.")
flags.DEFINE_bool("tune", False, "Measure on the validation split only, for choosing settings: test is not used.")
flags.DEFINE_string(
    "distributed",
    "off",
    "Run on the devices of several processes, each started with this command: auto (Slurm, Open MPI, Kubernetes, "
    "Cloud TPU), off, or <coordinator>:<port>,<processes>,<id>.",
)
flags.DEFINE_string("track", "", "Tracker that gets the metrics as well: mlflow, tensorboard, trackio or wandb.")


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
            signals.handle_all(lambda number, _: ending.end(launch_flags.line(INTERRUPTED), status=128 + number))
        mesh.check_devices()
        program.run(FLAGS)
    except (errors.JaxembedError, OSError, KeyboardInterrupt) as error:
        if isinstance(error, TimeoutError) and processes.count() > 1:  # orbax, waiting for a process that is lost
            ending.unexpected(error)
        text = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
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


if __name__ == "__main__":
    if OWN:
        command.prepare()
        streams.outlive()
    try:
        app.run(main, flags_parser=parse)
    except SystemExit as ended:
        if OWN and ended.code:
            command.leave(ended.code)
        raise
