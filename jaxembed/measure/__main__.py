"""Measure any embedding by the protocol that runs are measured by, into a folder that jaxembed.report reads.

  jaxembed measure dinov2.npz --workdir=checkpoints/dinov2
  jaxembed measure vectors.npz --like=checkpoints/margin_mnist --workdir=checkpoints/exported
  jaxembed measure margin_mnist --on=fashion_mnist --workdir=checkpoints/margin_on_fashion
  jaxembed measure patches --dataset=cifar10 --like=RUN --workdir=checkpoints/patches

VECTORS is an .npz with the arrays train, train_labels, test and test_labels (and perhaps train_images, train_names,
the same of test or validation, and classes); a folder with one .npy for each; or a file of vectors from
jaxembed.embed or elsewhere, whose names begin with their splits, as test/0. With --on it is a run, whose frozen
encoder is measured on another dataset; its images are converted to the size and the channels that the encoder
takes, as jaxembed.embed converts pictures.

It can also be a control, which an embedding has to beat: {controls}. Its own options can be given as well, such as
--centres=1600. A folder of vectors with the name of a control is ./NAME.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxembed import controls
from jaxembed.artifacts import diagnosis, finished, identity, samples, workdir
from jaxembed.artifacts.finished import Finished
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import onnx

if TYPE_CHECKING:
    from jaxembed.measure.embedded import Embedded


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed measure`."""
    names = controls.names()
    parser = _parser(names)
    asked, more = parser.parse_known_args(arguments)
    if not (is_control := asked.vectors in names):
        asked = parser.parse_args(arguments)  # which refuses what only a control may know
    if asked.on and is_control:
        raise InputError(f"{asked.vectors} is a control: it takes --dataset={asked.on}, not --on")
    if asked.train is not None and not asked.on:
        raise InputError(f"--train={asked.train} needs --on; other vectors are measured as they are")
    if asked.on and (asked.like or asked.dataset):
        raise InputError(
            "--on takes the protocol and the name from the run and the dataset: no --like, no --dataset"
        )
    if not asked.on and (flags := onnx.of_arguments(asked)):
        raise InputError(f"{flags} is for the encoder of --on")
    _check_folder(asked.workdir, overwrite=asked.overwrite)

    from jaxembed.devices import mesh  # here, because it imports jax

    mesh.check_devices()
    embedded = _embedded(asked, more if is_control else None)
    if asked.name:
        embedded.config["name"] = asked.name
    line = shlex.join(["python", "-m", "jaxembed.measure", *(arguments or sys.argv[1:])])
    with workdir.opened(asked.workdir):
        _measure(embedded, line, asked.workdir)


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of the arguments; `names` are those of the controls."""
    parser = command.parser("measure", (__doc__ or "").format(controls=", ".join(names)))
    parser.add_argument(
        "vectors",
        type=command.source,
        metavar="VECTORS",
        help="the vectors, or a control; with --on, a run or a pretrained or published encoder",
    )
    parser.add_argument("--workdir", type=command.path, required=True, help="folder to write to")
    parser.add_argument(
        "--name", help="of the embedding in reports (default: the file's, the run's or the control's)"
    )
    parser.add_argument(
        "--on", type=command.source, metavar="DATASET", help="dataset to measure the encoder of a run on"
    )
    parser.add_argument(
        "--like",
        type=command.source,
        metavar="RUN",
        help="measure as this run, or config file, which is run: by its protocol, on its splits",
    )
    parser.add_argument(
        "--dataset",
        type=command.source,
        help="for a control, the dataset or folder of pictures (default: that of --like); for vectors, the name of "
        "their dataset in reports (default: the file's)",
    )
    parser.add_argument("--distance", choices=("cosine", "euclidean"), help="default: the run's, else cosine")
    parser.add_argument(
        "--validation",
        type=float,
        help="train images to hold out, number or share (default: as --like or a run on its own dataset, else 0)",
    )
    parser.add_argument(
        "--seed", type=int, help="of the choice of validation images, and of a control (default: the run's)"
    )
    parser.add_argument(
        "--train", type=int, metavar="N", help="with --on, keep N random train images (default: all of them)"
    )
    command.add_columns(parser)
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier measurement in the folder")
    onnx.add_arguments(parser)
    return parser


def _embedded(asked: Any, more: Sequence[str] | None) -> "Embedded":
    """Make what is measured; `more` are a control's own options, None if it is none."""
    from jaxembed.measure import control, given, transferred

    if more is not None:
        return control.make(asked, more)
    return transferred.make(asked) if asked.on else given.make(asked)


def _measure(embedded: "Embedded", line: str, folder: Path) -> None:
    """Measure an embedding and write into a folder what a run's has; `line` is the command."""
    from jaxembed.doctor import examination
    from jaxembed.evaluate import evaluation, result, sampling
    from jaxembed.evaluate.result import Described
    from jaxembed.figures import gallery
    from jaxembed.report import summary
    from jaxembed.run import protocol

    dataset, config = embedded.dataset, embedded.config
    measured = protocol.make(identity.with_tuples(config["evaluate"]))
    if (k := measured.neighbours) > (n := len(dataset.train.labels)):
        raise InputError(f"there must be at least {k} train rows, for as many nearest neighbours, got {n}")
    evaluated = evaluation.of_embeddings(dataset, embedded.embeddings, measured)
    taken, sampled = sampling.of_embedding(dataset, evaluated, distance=measured.distance)
    numbers = {"measured": evaluated.metrics | sampled}
    origin = {"sha256": embedded.sha256, "trained_on": embedded.trained_on}
    record = result.of_embedding(Described(config["name"], line, config), dataset, **numbers, **origin)
    # Of a control nobody asks what is wrong with the images, which takes as long as all the rest.
    examined = None
    if not finished.is_control(record):
        examined = examination.examine(dataset, evaluated.embeddings, distance=measured.distance)
    with workdir.renewed(folder, stale=gallery.stale(folder)) as new:
        samples.write(taken, new)
        if examined:
            diagnosis.write(examined, new)
        files.write_json(new / workdir.CONFIG, config)
        files.write_json(new / workdir.RESULT, record)
    summary.show(record, folder)
    gallery.require(Finished(folder, config, record, [], taken, examined), advice="the result is written")


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise an InputError if the folder holds a run, or an earlier measurement that may not be replaced."""
    if (folder / workdir.METRICS).exists() or (folder / workdir.CHECKPOINT).exists():
        raise InputError(f"--workdir {folder} holds a run; use a different --workdir")
    if (folder / workdir.RESULT).exists() and not overwrite:
        raise InputError(f"--workdir {folder} holds a measurement; use --overwrite to replace it")


if __name__ == "__main__":
    sys.exit(command.run("measure", main))
