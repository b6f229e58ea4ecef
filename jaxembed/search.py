"""Find the images whose embeddings are nearest to those of some pictures.

  python -m jaxembed.search checkpoints/simclr_cifar photos.npz holiday.jpg
  python -m jaxembed.search simclr_mnist mnist.npz seven.png --count=20 --output=found.png

Prints the nearest files and their distances, and draws the pictures. Up to a million vectors are searched exactly,
more by an index of usearch (pip install 'jaxembed[search]'), which is kept next to the vectors, and whose recall is
printed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from jaxembed import command, files, pictures, vectors
from jaxembed.errors import InputError
from jaxembed.vectors import Vectors

if TYPE_CHECKING:
    from jaxembed.frozen import FrozenEncoder

# Pixels of a picture in the drawing.
SIDE = 160


def main(arguments: Sequence[str] | None = None) -> None:
    """Search for what the arguments say."""
    parser = command.parser("search", __doc__)
    parser.add_argument("run", help="a run's folder, or the name of a published encoder")
    parser.add_argument("vectors", type=Path, help="file that jaxembed.embed wrote with the same encoder")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="a picture to search for")
    parser.add_argument("--count", type=int, default=10, help="nearest images of each (default: 10)")
    parser.add_argument("--output", type=Path, help="file of the drawing (default: search.png, which is replaced)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--data_dir", help="folder of TFDS datasets, if the vectors are a dataset's")
    options = parser.parse_args(arguments)
    output = options.output or Path("search.png")
    command.check_output(output, overwrite=options.overwrite or options.output is None)
    if output.suffix.lower() not in Image.registered_extensions():
        raise InputError(f"--output {output} must end in the suffix of an image format, such as .png")
    if options.count < 1:
        raise InputError(f"--count must be at least 1, got {options.count}")

    from jaxembed import frozen, index, originals  # here, because they import jax

    encoder, stored = frozen.load(options.run), vectors.read(options.vectors)
    check(stored, encoder, options.vectors)
    queries = encoder.embed(options.images)
    graph = options.vectors.with_name(f"{options.vectors.name}.usearch")
    made = index.make(stored.embeddings, distance=encoder.distance, file=graph)
    found = made.search(queries, min(options.count, len(stored.names)))
    if isinstance(made, index.Approximate):
        print(f"approximate index: {made.recall(options.count):.1%} of the nearest {options.count} are found")
    for image, rows, distances in zip(options.images, *found, strict=True):
        print(f"{files.printable(image)}:")
        for row, distance in zip(rows, distances, strict=True):
            label = f"  [{files.printable(stored.labels[row])}]" if stored.labels[row] else ""
            print(f"  {distance:.4f}  {files.printable(stored.names[row])}{label}")
    try:
        shown = originals.find(stored.about.source, data_dir=options.data_dir)
    except InputError as error:
        print(f"search: no drawing: {error}", file=sys.stderr)
        return
    sheet = [
        [pictures.whole(image), *(shown.picture(stored.names[row]) for row in rows)]
        for image, rows in zip(options.images, found.rows, strict=True)
    ]
    draw(sheet).save(output)
    print(f"Drawing: {output} (the first column is what was searched for)")


def check(stored: Vectors, encoder: "FrozenEncoder", file: Path) -> None:
    """Raise an InputError unless vectors were made by an encoder."""
    if (d := stored.embeddings.shape[1]) != encoder.dimension:
        raise InputError(f"{file} has vectors of {d} numbers, but {encoder.name} makes {encoder.dimension}")
    if stored.about.encoder != encoder.stored.sha256:
        raise InputError(
            f"{file} was made by a different encoder, {stored.about.run}; embed again with {encoder.name}"
        )


def draw(sheet: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Arrange rows of pictures, each fitted into a square; the first of a row is set apart."""
    gap = SIDE // 16
    columns = max(map(len, sheet))
    drawn = Image.new("RGB", (columns * (SIDE + gap) + gap, len(sheet) * (SIDE + gap)), "white")
    for down, row in enumerate(sheet):
        for across, picture in enumerate(row):
            scale = SIDE / max(picture.size)
            size = tuple(max(1, round(scale * side)) for side in picture.size)
            # Enlarged pixels remain visible as such.
            fitted = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
            left, top = across * (SIDE + gap) + (gap if across else 0), down * (SIDE + gap)
            drawn.paste(fitted, (left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2))
    return drawn


if __name__ == "__main__":
    sys.exit(command.run("search", main))
