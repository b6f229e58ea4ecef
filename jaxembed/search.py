"""Find the images whose embeddings are nearest to those of the query images.

  python -m jaxembed.search checkpoints/simclr_cifar photos.npz holiday.jpg
  python -m jaxembed.search simclr_mnist mnist.npz seven.png --count=20 --output=sevens.png

Prints the nearest images and their distances, and saves a contact sheet. Up to a million embeddings are searched
exactly; beyond that, an approximate usearch index (pip install 'jaxembed[search]') is built, saved next to the
file, and its recall printed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from jaxembed import pictures
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import vectors
from jaxembed.kernels import space

# Side of a contact sheet cell, in pixels.
SIDE = 160


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m jaxembed.search`."""
    parser = command.parser("search", __doc__)
    parser.add_argument("run", help=command.RUN)
    parser.add_argument("vectors", type=Path, help="file written by jaxembed.embed with the same encoder")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="query image")
    parser.add_argument("--count", type=int, default=10, help="results per query image (default: 10)")
    parser.add_argument(
        "--output", type=Path, help="contact sheet to write (default: search.png, overwritten if it exists)"
    )
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    parser.add_argument("--data_dir", help=command.DATA_DIR)
    options = parser.parse_args(arguments)
    output = options.output or Path("search.png")
    command.check_output(output, overwrite=options.overwrite or options.output is None)
    if output.suffix.lower() not in Image.registered_extensions():
        raise InputError(f"--output {output} must have the extension of an image format, such as .png")
    if options.count < 1:
        raise InputError(f"--count must be at least 1, got {options.count}")

    from jaxembed.embed import frozen, index, sources  # here, because they import jax

    encoder, embedded = frozen.load(options.run), vectors.read(options.vectors)
    vectors.check_encoder(embedded, encoder, options.vectors)
    queries = encoder.embed(options.images)
    index_file = options.vectors.with_name(f"{options.vectors.name}.usearch")
    search_index = index.make(embedded.embeddings, distance=encoder.distance, file=index_file)
    neighbours = search_index.search(queries, min(options.count, len(embedded.names)))
    if isinstance(search_index, index.Approximate):
        estimate = f"recall@{options.count} = {search_index.recall(options.count):.1%}"
        print(f"approximate index: {estimate}, estimated on {index.RECALL_QUERIES} of the stored embeddings")
    for image, rows, distances in zip(options.images, *neighbours, strict=True):
        print(f"{files.printable(image)}, nearest first by {space.NAMES[encoder.distance]}:")
        for row, distance in zip(rows, distances, strict=True):
            label = f"  [{files.printable(embedded.labels[row])}]" if embedded.labels[row] else ""
            print(f"  {distance:.4f}  {files.printable(embedded.names[row])}{label}")
    try:
        source = sources.open_source(embedded.about.source, data_dir=options.data_dir)
    except InputError as error:
        print(f"search: no contact sheet: {error}", file=sys.stderr)
        return
    sheet = contact_sheet(
        [
            [pictures.open_rgb(image), *(source.picture(embedded.names[row]) for row in rows)]
            for image, rows in zip(options.images, neighbours.rows, strict=True)
        ]
    )
    sheet.save(output)
    print(f"Contact sheet: {output} (queries in the first column)")


def contact_sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Draw rows of pictures, each scaled to fit a square cell; a wider gap follows the first column."""
    gap = SIDE // 16
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (columns * (SIDE + gap) + gap, len(rows) * (SIDE + gap)), "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            scale = SIDE / max(picture.size)
            size = tuple(max(1, round(scale * side)) for side in picture.size)
            # Nearest-neighbour scaling keeps the pixels of small images visible.
            fitted = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
            left, top = across * (SIDE + gap) + (gap if across else 0), down * (SIDE + gap)
            sheet.paste(fitted, (left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2))
    return sheet


if __name__ == "__main__":
    sys.exit(command.run("search", main))
