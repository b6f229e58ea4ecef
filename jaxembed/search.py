"""Find the images whose embeddings are nearest to those of query images, or of texts.

  jaxembed search checkpoints/simclr_cifar photos.npz holiday.jpg
  jaxembed search simclr_mnist mnist.npz seven.png --count=20 --output=sevens.png
  jaxembed search dinov2.parquet beach/0017.jpg --images=PHOTOS
  jaxembed search clip_vit_b32 photos.npz --text "a dog on a beach"

Prints the nearest images and their distances, and saves a contact sheet. With RUN, the encoder that the vectors
were written with, a query is a picture; without, the vectors may be any tool's, and a query is a name among theirs.
Up to a million embeddings are searched exactly; beyond that, an approximate usearch index
(pip install 'jaxembed[search]') is built, saved next to the file, and its recall printed.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxembed import pictures
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import onnx_asked, stored, vectors
from jaxembed.embed.vectors import Vectors
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.index import Neighbours
    from jaxembed.embed.sources import Album

# Side of a contact sheet cell, in pixels, and the gap between two.
SIDE, GAP = 160, 10
# Names that are listed of pictures that cannot be opened.
_SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed search`."""
    options = _options(arguments)
    output = options.output or Path("search.png")
    command.check_output(output, overwrite=options.overwrite or options.output is None)
    check_format(output, Image.new("RGB", (1, 1)))

    from jaxembed.embed import frozen, index, sources  # here, because they import jax

    encoder = frozen.of_arguments(options)
    file = files.expanded(options.vectors)
    embedded = stored.read(file, options, encoder)
    distance, count = embedded.about.distance, min(options.count, len(embedded.names))
    check_format(output, Image.new("RGB", size_of(len(options.images) + len(options.text), count)))
    titles, queries = _queries(options, embedded, encoder)
    index_file = file.with_name(f"{file.name}.usearch")
    search_index = index.make(embedded.embeddings, distance=distance, file=index_file)
    neighbours = search_index.search(queries, count)
    if isinstance(search_index, index.Approximate):
        estimate = f"recall@{options.count} = {search_index.recall(options.count):.1%}"
        print(f"approximate index: {estimate}, estimated on {index.RECALL_QUERIES} of the stored embeddings")
    _show(titles, neighbours, embedded, measure=space.NAMES[distance])
    try:
        album = sources.of_vectors(embedded, images=options.folder, data_dir=options.data_dir)
    except InputError as error:
        print(f"search: no contact sheet: {files.line(str(error))}", file=sys.stderr)
        return
    found = [[embedded.names[row] for row in rows] for rows in neighbours.rows]
    if encoder:
        asked, rows = _drawn(options), _opened(found, album)
    else:
        asked, *rows = _opened([titles, *found], album)
    sheet = contact_sheet(asked, rows)
    with files.replacing(output) as stream:
        sheet.save(stream, format_of(output))
    print(f"Contact sheet: {files.printable(output)} (queries in the first column)")


def _options(arguments: Sequence[str] | None) -> Any:
    """Parse the arguments; RUN is None where it is left out."""
    parser = command.parser("search", __doc__)
    parser.add_argument("run", nargs="?", type=command.source, metavar="RUN", help=command.OPTIONAL_RUN)
    parser.add_argument("vectors", type=command.source, metavar="VECTORS", help=command.VECTORS)
    parser.add_argument(
        "images",
        nargs="*",
        type=command.source,
        metavar="QUERY",
        help="a picture; without RUN, the name of a picture in VECTORS",
    )
    parser.add_argument("--text", action="append", default=[], help="query text (repeatable; not of all encoders)")
    parser.add_argument("--count", type=int, default=10, help="results per query (default: 10)")
    parser.add_argument(
        "--output", type=command.path, help="contact sheet to write (default: search.png, overwritten if it exists)"
    )
    parser.add_argument("--images", type=command.source, dest="folder", metavar="FOLDER", help=command.IMAGES)
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--distance", choices=space.NAMES, help=command.DISTANCE)
    command.add_columns(parser)
    onnx_asked.add_arguments(parser)
    options = parser.parse_intermixed_args(arguments)
    if options.run and vectors.is_file(options.run):
        options.run, options.vectors, options.images = None, options.run, [options.vectors, *options.images]
    if not options.images and not options.text:
        known = "RUN VECTORS PICTURE, RUN VECTORS --text TEXT, or VECTORS NAME"
        raise InputError(f"there must be a query: {known}; --help shows the arguments")
    if options.text and not options.run:
        raise InputError(f"--text needs RUN, the encoder that {options.vectors} was written with")
    if options.count < 1:
        raise InputError(f"--count must be at least 1, got {options.count}")
    return options


def _queries(
    asked: Any, embedded: Vectors, encoder: "Encoder | None"
) -> tuple[Sequence[str], Float[np.ndarray, "q d"]]:
    """Return the names and embeddings of the queries: by an encoder, or without one those in the file."""
    if encoder:
        paths = list(map(files.expanded, asked.images))
        embeddings = encoder.embed(paths)
        if asked.text:
            embeddings = np.concatenate([embeddings, encoder.embed_text(asked.text)])
        return [*map(str, paths), *(f'"{text}"' for text in asked.text)], embeddings
    from jaxembed.embed import naming

    rows = [naming.row(embedded.names, name) for name in asked.images]
    return [embedded.names[row] for row in rows], np.asarray(embedded.embeddings[rows])


def _drawn(asked: Any) -> list[Image.Image]:
    """Draw the queries of an encoder: pictures as they are, texts written."""
    from jaxembed.figures import caption  # here, because it imports matplotlib

    pictured = [pictures.open_rgb(files.expanded(image)) for image in asked.images]
    return [*pictured, *(caption.draw(text, SIDE) for text in asked.text)]


def format_of(file: Path) -> str:
    """Return Pillow's name of the format that a file's extension stands for, if it can be written.

    Raises:
      InputError: if there is none.
    """
    known = Image.registered_extensions()
    if known.get(file.suffix.lower()) not in Image.SAVE:
        raise InputError(f"--output {file} must have the extension of an image format that can be written, as .png")
    return known[file.suffix.lower()]


def check_format(file: Path, sheet: Image.Image) -> None:
    """Raise an InputError if a contact sheet of this size cannot be written into a file of this format."""
    try:
        sheet.save(io.BytesIO(), format_of(file))
    except (OSError, ValueError, KeyError, MemoryError) as error:
        size, reason = "{}×{}".format(*sheet.size), files.line(str(error) or type(error).__name__)
        raise InputError(
            f"--output {file} cannot be a contact sheet of {size} pixels: {reason}; use .png"
        ) from error


def _show(queries: Sequence[str], neighbours: "Neighbours", embedded: Vectors, *, measure: str) -> None:
    """Print the nearest images of each query, their distances by the measure, and their labels."""
    for query, rows, distances in zip(queries, *neighbours, strict=True):
        print(f"{files.printable(query)}, nearest first by {measure}:")
        for row, distance in zip(rows, distances, strict=True):
            label = f"  [{files.printable(embedded.labels[row])}]" if embedded.labels[row] else ""
            print(f"  {distance:.4f}  {files.printable(embedded.names[row])}{label}")


def _opened(found: Sequence[Sequence[str]], album: "Album") -> list[list[Image.Image | None]]:
    """Open pictures, None for those that cannot be opened, which are named."""
    missing: list[str] = []

    def opened(name: str) -> Image.Image | None:
        try:
            return album.picture(name)
        except (OSError, ValueError, InputError) as error:  # moved or damaged since it was embedded
            missing.append(f"{files.printable(name)} ({files.line(str(error))})")
            return None

    rows = [list(map(opened, names)) for names in found]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        print(f"search: cannot be opened: {', '.join(missing[:_SHOWN])}{more}; left empty", file=sys.stderr)
    return rows


def size_of(rows: int, count: int) -> tuple[int, int]:
    """Return the width and height in pixels of a contact sheet of a query and `count` pictures in each row."""
    return (count + 1) * (SIDE + GAP) + GAP, rows * (SIDE + GAP)


def contact_sheet(
    queries: Sequence[Image.Image | None], found: Sequence[Sequence[Image.Image | None]]
) -> Image.Image:
    """Draw rows of pictures, each scaled to fit a square cell, grey for None; a gap follows the queries."""
    sheet = Image.new("RGB", size_of(len(queries), max(map(len, found))), "white")
    for down, (query, row) in enumerate(zip(queries, found, strict=True)):
        for across, picture in enumerate([query, *row]):
            cell = picture or Image.new("RGB", (SIDE, SIDE), "#eeeeee")
            scale = SIDE / max(cell.size)
            size = tuple(max(1, round(scale * side)) for side in cell.size)
            # Nearest-neighbour scaling keeps the pixels of small images visible.
            fitted = cell.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
            left, top = across * (SIDE + GAP) + (GAP if across else 0), down * (SIDE + GAP)
            sheet.paste(fitted, (left + (SIDE - size[0]) // 2, top + (SIDE - size[1]) // 2))
    return sheet


if __name__ == "__main__":
    sys.exit(command.run("search", main))
