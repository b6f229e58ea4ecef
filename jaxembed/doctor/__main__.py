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

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxembed.artifacts import diagnosis
from jaxembed.artifacts.diagnosis import KINDS, Diagnosis
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.doctor import groups, originals, page, summary
from jaxembed.embed import onnx, vectors
from jaxembed.kernels import space

# Rows of a table that are printed.
SHOWN = 5
PICTURE = "doctor.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed doctor`."""
    examine(arguments)


def examine(arguments: Sequence[str] | None = None) -> Diagnosis:
    """Examine what the arguments ask for, write the tables and print the first rows."""
    options = parse(arguments)

    from jaxembed.doctor import subject  # here, because it imports jax

    examined = subject.of_arguments(options)
    found = examined.found
    file_of = examined.file if examined.album else None
    known = originals.read(file_of, list(examined.names)) if file_of else {}
    blank = {name for name, each in known.items() if each.problem == "blank"}
    grouped = [groups.members(group, known) for group in groups.of(found, blank)]
    written = write(found, examined.title, options.output, groups.numbers(grouped))
    written += groups.write(grouped, options.output, file_of)
    written += originals.write(known, options.output) if file_of else []
    opened = examined.picture if examined.album else None
    written.append(page.write(found, grouped, known, opened, title=examined.title, output=options.output))
    show(found)
    for line in (summary.copies(found, grouped), summary.wrong_labels(found), summary.problems(known.values())):
        if line:
            print(line)
    print(f"distance and remoteness: {space.NAMES[examined.distance]}")
    print("\n".join(files.printable(file) for file in written))
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; InputError if an earlier examination may not be replaced."""
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
    return options


def write(found: Diagnosis, title: str, folder: Path, numbers: Mapping[str, int] | None = None) -> list[Path]:
    """Write the tables, and a picture of their first images if there are any, in place of those that are there.

    Args:
      found: the tables.
      title: what was examined, by what.
      folder: the folder to write to.
      numbers: the number of the group of copies that an image is in.
    """
    from jaxembed.figures import names, style, suspects  # here, because matplotlib takes a second

    picture = folder / PICTURE
    with style.style():
        figure = suspects.draw(found, names.wrapped(names.drawn(title, 140), 72), rows=2)
        picture.unlink(missing_ok=True)
        written = diagnosis.write_csv(found, folder, numbers)
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
