"""Measure any embedding by the protocol that runs are measured by, into a folder that jaxembed.report reads.

  python -m jaxembed.measure dinov2.npz --workdir=checkpoints/dinov2
  python -m jaxembed.measure vectors.npz --like=checkpoints/margin_mnist --workdir=checkpoints/exported
  python -m jaxembed.measure margin_mnist --on=fashion_mnist --workdir=checkpoints/margin_on_fashion

VECTORS is an .npz with the arrays train, train_labels, test and test_labels (and perhaps train_images, train_names,
the same of test or validation, and classes); a folder with one .npy for each; or a dataset's file from
jaxembed.embed. With --on it is a run, whose frozen encoder is measured on another dataset; its images are converted
to the size and the channels that the encoder takes, as jaxembed.embed converts pictures.
"""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxembed.artifacts import diagnosis, identity, samples, workdir
from jaxembed.artifacts.finished import Finished
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError

if TYPE_CHECKING:
    from jaxembed.types import Dataset

# How embeddings are measured if nothing else is asked for.
PROTOCOL = dict(
    neighbours=10,
    distance="cosine",
    views=0,
    augmentation={},
    linear=dict(epochs=30, batch_size=512, learning_rate=0.03, weight_decay=0.0),
    mlp=dict(hidden=(256,), dropout=0.3, epochs=30, batch_size=512, learning_rate=2e-3, weight_decay=0.1),
)
# What a config.json says of an encoder and an objective that are not known.
UNKNOWN = {"name": "unknown"}


class Embedded(NamedTuple):
    """An embedded dataset, and the config that says how it was made and is measured."""

    dataset: "Dataset"
    embeddings: dict[str, np.ndarray]
    config: dict[str, Any]
    sha256: str
    trained_on: str | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m jaxembed.measure`."""
    parser = command.parser("measure", __doc__)
    parser.add_argument(
        "vectors",
        type=command.source,
        metavar="VECTORS",
        help="the vectors; with --on, a run or a pretrained encoder",
    )
    parser.add_argument("--workdir", type=command.path, required=True, help="folder to write to")
    parser.add_argument("--name", help="of the embedding in reports (default: the file's or the run's)")
    parser.add_argument(
        "--on", type=command.source, metavar="DATASET", help="dataset to measure the encoder of a run on"
    )
    parser.add_argument(
        "--like", type=command.source, metavar="RUN", help="measure as this run: by its protocol, on its splits"
    )
    parser.add_argument("--dataset", help="name of the dataset of the vectors in reports (default: the file's)")
    parser.add_argument("--distance", choices=("cosine", "euclidean"), help="default: the run's, else cosine")
    parser.add_argument(
        "--validation",
        type=float,
        help="train images to hold out, number or share (default: as --like or a run on its own dataset, else 0)",
    )
    parser.add_argument("--seed", type=int, help="of the choice of validation images (default: the run's)")
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier measurement in the folder")
    options = parser.parse_args(arguments)
    if options.on and (options.like or options.dataset):
        raise InputError(
            "--on takes the protocol and the name from the run and the dataset: no --like, no --dataset"
        )
    _check_folder(options.workdir, overwrite=options.overwrite)

    from jaxembed.devices import mesh  # here, because it imports jax

    mesh.check_devices()
    embedded = _transferred(options) if options.on else _given(options)
    if options.name:
        embedded.config["name"] = options.name
    line = shlex.join(["python", "-m", "jaxembed.measure", *(arguments or sys.argv[1:])])
    with workdir.opened(options.workdir):
        _measure(embedded, line, options.workdir)


def _measure(embedded: Embedded, line: str, folder: Path) -> None:
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
    evaluated = evaluation.of_embeddings(dataset, evaluation.Embeddings(embedded.embeddings), measured)
    taken, sampled = sampling.of_embedding(dataset, evaluated, distance=measured.distance)
    examined = examination.examine(dataset, embedded.embeddings, distance=measured.distance)
    numbers = {"measured": evaluated.metrics | sampled}
    origin = {"sha256": embedded.sha256, "trained_on": embedded.trained_on}
    record = result.of_embedding(Described(config["name"], line, config), dataset, **numbers, **origin)
    with workdir.renewed(folder, stale=gallery.stale(folder)) as new:
        samples.write(taken, new)
        diagnosis.write(examined, new)
        files.write_json(new / workdir.CONFIG, config)
        files.write_json(new / workdir.RESULT, record)
    summary.show(record, folder)
    finished = Finished(folder, config, record, [], taken, examined)
    gallery.require(finished, advice="the result is written")


def _given(options: Any) -> Embedded:
    """Read vectors that were made elsewhere."""
    from jaxembed.embed import frozen
    from jaxembed.measure import splits

    like = identity.current(frozen.saved(options.like).config) if options.like else {}
    seed, validation = _divided(options, like)
    source = files.expanded(options.vectors)
    read = splits.read(source, title=options.dataset or source.stem, seed=seed, validation=validation)
    dataset, about = read.dataset, read.about
    if about is not None and not options.dataset:
        dataset = dataset._replace(
            name=Path(about.source).name if Path(about.source).is_absolute() else about.source
        )
    chosen = like.get("evaluate", PROTOCOL | ({"distance": about.distance} if about else {}))
    config = {
        "data": {"name": dataset.name, "vectors": read.sha256, "validation": validation},
        "encoder": dict(UNKNOWN),
        "objective": dict(UNKNOWN),
        "train": {},
        "evaluate": _protocol(chosen, options.distance),
        "seed": seed,
        "name": source.stem,
    }
    return Embedded(_pictured(dataset, about, options.data_dir), read.embeddings, config, read.sha256, None)


def _transferred(options: Any) -> Embedded:
    """Embed a dataset with the encoder of a run."""
    from jaxembed import datasets
    from jaxembed.embed import frozen, sources

    encoder = frozen.load(options.vectors)
    saved = identity.current(encoder.saved.config)
    own = options.on == saved["data"]["name"]
    seed, validation = _divided(options, saved if own else {"seed": saved.get("seed", 0)})
    section = sources.section(options.on, encoder.shape) | {"validation": validation}
    dataset = encoder.convert(datasets.load(section, data_dir=options.data_dir, seed=seed))
    embeddings = encoder.embed_splits(dataset)
    config = saved | {
        "data": {"name": options.on, "validation": validation, "trained_on": saved["data"]},
        "evaluate": _protocol(saved["evaluate"], options.distance),
        "seed": seed,
        "name": encoder.name,
    }
    trained_on = encoder.saved.dataset or saved["data"]["name"]
    return Embedded(dataset, embeddings, config, encoder.saved.sha256, trained_on)


def _divided(options: Any, config: Mapping[str, Any]) -> tuple[int, float]:
    """Return (the seed, the validation images to hold out), as asked for or as in a run's config."""
    seed = config.get("seed", 0) if options.seed is None else options.seed
    if seed < 0:
        raise InputError(f"--seed must be at least 0, got {seed}")
    if options.validation is None:
        return seed, float(config.get("data", {}).get("validation", 0))
    if not 0 <= options.validation < math.inf or (options.validation >= 1 and options.validation % 1):
        raise InputError(f"--validation must be a share below 1 or a whole number, got {options.validation:g}")
    return seed, options.validation


def _protocol(section: Mapping[str, Any], distance: str | None) -> dict[str, Any]:
    """Take a protocol without augmented views, for which there is no encoder."""
    if section["views"] or section["augmentation"]:
        print(
            "measure: the protocol's augmented views are not available; probes are trained on the images only",
            file=sys.stderr,
        )
    return dict(section) | {"views": 0, "augmentation": {}} | ({"distance": distance} if distance else {})


def _pictured(dataset: "Dataset", about: Any, data_dir: str | None) -> "Dataset":
    """Add the images of vectors that jaxembed.embed wrote, if their dataset can be loaded."""
    from jaxembed import datasets

    if about is None or dataset.train.images is not None or Path(about.source).is_absolute():
        return dataset
    try:
        source = datasets.load({"name": about.source, "validation": 0}, data_dir=data_dir, seed=0)
        pictured = {
            split: getattr(dataset, split)._replace(images=_images(source, dataset.names_of(split)))
            for split in ("train", *dataset.held_out)
        }
    except InputError as error:
        print(f"measure: no images of {files.printable(about.source)}: {files.line(str(error))}", file=sys.stderr)
        return dataset
    return dataset._replace(**pictured)


def _images(source: "Dataset", names: Sequence[str] | np.ndarray) -> Any:
    """Take the images with these names, `<split>/<row>`, all of one split; InputError if there are none."""
    from jaxembed.types import OnDisk

    split, _, _ = names[0].partition("/")
    batch = getattr(source, split) if split in ("train", *source.held_out) else None
    rows = [_row(name, split) for name in names]
    for name, row in zip(names, rows, strict=True):
        if batch is None or row is None or row >= len(batch.labels):
            raise InputError(f"names must be <split>/<row> of one split of it, got {files.printable(name)}")
    chosen = np.array(rows)
    return batch.images.subset(chosen) if isinstance(batch.images, OnDisk) else batch.images[chosen]


def _row(name: str, split: str) -> int | None:
    """Return the row in a name `<split>/<row>`; None if it is no such name."""
    there, _, row = name.partition("/")
    return int(row) if there == split and row.isascii() and row.isdecimal() and len(row) < 12 else None


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise an InputError if the folder holds a run, or an earlier measurement that may not be replaced."""
    if (folder / workdir.METRICS).exists() or (folder / workdir.CHECKPOINT).exists():
        raise InputError(f"--workdir {folder} holds a run; use a different --workdir")
    if (folder / workdir.RESULT).exists() and not overwrite:
        raise InputError(f"--workdir {folder} holds a measurement; use --overwrite to replace it")


if __name__ == "__main__":
    sys.exit(command.run("measure", main))
