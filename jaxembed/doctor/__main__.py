"""List likely errors of a dataset, found in an embedding: near-duplicates, wrong labels, outliers.

  jaxembed doctor checkpoints/simclr_cifar
  jaxembed doctor simclr_mnist PHOTOS --output=photos
  jaxembed doctor dinov2.parquet --images=PHOTOS

Without a source it examines the dataset that the run was trained on. A file of vectors, which may come from any
tool, needs no run; its pictures, if there are any, are compared and drawn as well. It writes a CSV file for each
kind (near-duplicates in two splits and in the same one, suspicious labels, outliers), the most suspicious first, a
picture of the first ones, and doctor.html, a page of everything. Near-duplicates that are copies are groups, in
groups.csv. Of a folder, it says which picture of a group to keep, lists the others in remove.txt, and blank, dark,
blurred and tiny pictures in quality.csv; nothing is removed. Of more than 100,000 images, a random 100,000 are
examined.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxembed.artifacts import diagnosis, identity
from jaxembed.artifacts.diagnosis import KINDS, Diagnosis
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.doctor import groups, originals, page
from jaxembed.embed import onnx, stored, vectors
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.sources import Pictures

# Rows of a table that are printed.
SHOWN = 5
PICTURE = "doctor.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed doctor`."""
    examine(arguments)


def examine(arguments: Sequence[str] | None = None) -> Diagnosis:
    """Examine what the arguments ask for, write the tables and print the first rows."""
    parser = command.parser("doctor", __doc__)
    parser.add_argument("run", nargs="?", type=command.source, metavar="RUN", help=command.OPTIONAL_RUN)
    parser.add_argument(
        "source",
        nargs="?",
        type=command.source,
        metavar="SOURCE",
        help=f"{command.VECTORS}; with RUN also a folder of pictures or a dataset name (default: the run's data)",
    )
    parser.add_argument(
        "--output", type=command.path, default=Path("doctor"), help="folder to write to (default: doctor)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier examination")
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--images", type=command.source, metavar="FOLDER", help=command.IMAGES)
    parser.add_argument("--distance", choices=space.NAMES, help=command.DISTANCE)
    command.add_columns(parser)
    onnx.add_arguments(parser)
    options = vectors.without_run(parser.parse_intermixed_args(arguments))
    command.check_folder(options.output)
    more = (PICTURE, groups.FILE, groups.REMOVE, originals.FILE, page.FILE)
    for file in (*diagnosis.csv_files(options.output), *(options.output / name for name in more)):
        if file.exists() and not options.overwrite:
            raise InputError(f"--output {options.output} has a {file.name}; use --overwrite to replace it")

    from jaxembed.embed import frozen  # here, because it imports jax

    encoder = frozen.of_arguments(options)
    of = _of_vectors if options.source and vectors.is_file(options.source) else _of_encoder
    examined = of(encoder, options)
    found, album = examined.found, examined.album
    written = write(found, examined.title, options.output)
    known = originals.read(album.file, examined.names) if album else {}
    blank = {name for name, each in known.items() if each.problem == "blank"}
    grouped = [groups.members(group, known) for group in groups.of(found, blank)]
    written += groups.write(grouped, options.output, album and album.file)
    written += originals.write(known, options.output) if album else []
    opened = album and album.picture
    written.append(page.write(found, grouped, known, opened, title=examined.title, output=options.output))
    show(found)
    print(page.said(grouped))
    if problems := Counter(each.problem for each in known.values() if each.problem):
        print(", ".join(f"{count} {problem}" for problem, count in sorted(problems.items())))
    print(f"distance and remoteness: {space.NAMES[examined.distance]}")
    print("\n".join(files.printable(file) for file in written))
    return found


class Examined(NamedTuple):
    """What was examined, and what was found.

    Attributes:
      found: the tables.
      title: what was examined, by what.
      distance: the distance that images were compared by.
      album: the folder of the pictures; None if they are not in one.
      names: the names of the pictures in the folder.
    """

    found: Diagnosis
    title: str
    distance: str
    album: "Pictures | None"
    names: list[str]


def _of_encoder(encoder: "Encoder", asked: Any) -> Examined:
    """Examine a folder of pictures, or a dataset."""
    from jaxembed import datasets
    from jaxembed.doctor import examination
    from jaxembed.embed import sources

    if asked.source:
        section = sources.section(asked.source, encoder.preparation)
        if section["name"] == "folder":  # no test split other than that of a folder train and a folder test
            section["test"] = 0
    else:
        section = identity.with_tuples(encoder.data)
    # Which train images a run held out for validation makes no difference here.
    dataset = datasets.load(section | {"validation": 0}, data_dir=asked.data_dir, seed=0)
    dataset = encoder.convert(dataset)
    distance = asked.distance or encoder.distance
    found = examination.examine(dataset, encoder.embed_splits(dataset), distance=distance)
    folder = sources.Pictures(files.expanded(section["path"])) if section["name"] == "folder" else None
    splits = [split for split in ("train", "validation", "test") if getattr(dataset, split) is not None]
    pictured = [str(name) for split in splits for name in dataset.names_of(split)] if folder else []
    return Examined(found, f"{encoder.name} on {dataset.name}", distance, folder, pictured)


def _of_vectors(encoder: "Encoder | None", asked: Any) -> Examined:
    """Examine a file of vectors, as `_of_encoder`."""
    from jaxembed.doctor import examination, given
    from jaxembed.embed import sources

    embedded = stored.read(files.expanded(asked.source), asked, encoder)
    try:
        album = sources.of_vectors(embedded, images=asked.images, data_dir=asked.data_dir)
    except InputError as error:
        if asked.images is not None:
            raise
        print(f"doctor: no pictures: {files.line(str(error))}", file=sys.stderr)
        album = None
    unreadable: dict[str, str] = {}
    dataset, embeddings = given.dataset(embedded, album, unreadable)
    found = examination.examine(dataset, embeddings, distance=embedded.about.distance)
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        more = ", …" if len(unreadable) > 1 else ""
        line = f"{len(unreadable):,} pictures cannot be read: {files.printable(name)} ({reason}){more}"
        print(f"doctor: {line}; drawn as noise", file=sys.stderr)
    about = embedded.about
    title = f"{about.encoder} on {dataset.name}" if about.source else about.encoder
    folder = album if isinstance(album, sources.Pictures) else None
    return Examined(found, title, about.distance, folder, list(map(str, embedded.names)) if folder else [])


def write(found: Diagnosis, title: str, folder: Path) -> list[Path]:
    """Write the tables, and a picture of their first images if there are any, in place of those that are there."""
    from jaxembed.figures import names, style, suspects  # here, because matplotlib takes a second

    picture = folder / PICTURE
    with style.style():
        figure = suspects.draw(found, names.wrapped(names.drawn(title, 140), 72), rows=2)
        picture.unlink(missing_ok=True)
        written = diagnosis.write_csv(found, folder)
        if figure is None:
            return written
        style.save(figure, picture)
    return [*written, picture]


def show(found: Diagnosis) -> None:
    """Print the first rows of each table."""
    examined, total = found.examined
    print(f"{examined:,} {f'of {total:,} ' if examined < total else ''}images examined")
    for name, table in found.tables.items():
        count = len(table.names)
        print(f"{KINDS[name].title}: {f'the first {SHOWN} of ' if count > SHOWN else ''}{count:,}")
        for row in range(min(SHOWN, count)):
            print(f"  {_line(found, name, row)}")


def _line(found: Diagnosis, name: str, row: int) -> str:
    """Describe a row in a line: the images with their labels, the label that fits better, the scores."""
    table = found.tables[name]
    parts = []
    for image, label in zip(table.names[row], table.labels[row], strict=True):
        label = diagnosis.class_of(found, label)
        parts.append(files.printable(f"{image} [{label}]" if label else image))
    if table.proposed is not None:
        parts.append(f"suggested: {files.printable(diagnosis.class_of(found, table.proposed[row]))}")
    scores = (f"{score} {values[row]:.3g}" for score, values in table.scores.items() if values[row] == values[row])
    return "  ".join([*parts, *scores])


if __name__ == "__main__":
    sys.exit(command.run("doctor", main))
