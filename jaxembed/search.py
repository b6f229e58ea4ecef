"""Find the images whose embeddings are nearest to those of query images, or of texts.

  jaxembed search checkpoints/simclr_cifar photos.npz holiday.jpg
  jaxembed search simclr_mnist mnist.npz seven.png --count=20 --output=sevens.png
  jaxembed search dinov2.parquet beach/0017.jpg --images=PHOTOS
  jaxembed search clip_vit_b32 photos.npz --text "a dog on a beach"

Prints the nearest images and their distances (by cosine: 1 - cos), and saves a contact sheet. A query may be a
folder of pictures. With RUN, the encoder that the vectors
were written with, a query is a picture; without, the vectors may be any tool's, and a query is a name among theirs.
Up to a million embeddings are searched exactly; beyond that, an approximate usearch index
(pip install 'jaxembed[search]') is built, saved next to the file, and its recall printed.
"""

import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxembed import pictures
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import onnx, stored, vectors
from jaxembed.embed.vectors import Vectors
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.sources import Album

# Side of a contact sheet cell, in pixels, and the gap between two.
SIDE, GAP = 160, 10
# Names that are listed of pictures that cannot be opened.
_SHOWN = 5


class Found(NamedTuple):
    """What was found: the nearest images of each query, the nearest first.

    Attributes:
      queries: the queries as they were named.
      names: for each query, the names of the images.
      labels: their labels, "" where there is none.
      distances: [q, k] how far they are by `measure`.
      measure: the distance in words.
      note: what is to be said of how it was found; "" for an exact search.
    """

    queries: Sequence[str]
    names: Sequence[Sequence[str]]
    labels: Sequence[Sequence[str]]
    distances: Float[np.ndarray, "q k"]
    measure: str
    note: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed search`."""
    options = parse(arguments)
    # With --json, only that is printed to standard output.
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        found = _search(options)
    if options.json:
        print(json.dumps(listed(found), indent=2, ensure_ascii=False))


def _search(asked: Any) -> Found:
    """Find what is asked for, print it, and write a contact sheet."""
    output = asked.output or Path("search.png")
    command.check_output(output, overwrite=asked.overwrite or asked.output is None)
    check_format(output, Image.new("RGB", (1, 1)))
    encoder, embedded = opened(asked)
    shown = min(asked.count, len(embedded.names))
    check_format(output, Image.new("RGB", size_of(len(asked.images) + len(asked.text), shown)))
    found = find(asked, encoder, embedded)
    if found.note:
        print(found.note)
    _show(found)
    _draw(found, asked, encoder, embedded, output)
    return found


def opened(asked: Any) -> "tuple[Encoder | None, Vectors]":
    """Load the encoder that is asked for, None for none, and the vectors."""
    from jaxembed.embed import frozen  # here, because it imports jax

    encoder = frozen.of_arguments(asked)
    return encoder, stored.read(files.expanded(asked.vectors), asked, encoder)


def find(asked: Any, encoder: "Encoder | None", embedded: Vectors) -> Found:
    """Find the nearest images of the queries that are asked for."""
    from jaxembed.embed import index  # here, because it imports jax

    distance = embedded.about.distance
    titles, queries = _queries(asked, embedded, encoder)
    file = files.expanded(asked.vectors)
    search_index = index.make(embedded.embeddings, distance=distance, file=file.with_name(f"{file.name}.usearch"))
    rows, distances = search_index.search(queries, min(asked.count, len(embedded.names)))
    note = ""
    if isinstance(search_index, index.Approximate):
        estimate = f"recall@{asked.count} = {search_index.recall(asked.count):.1%}"
        note = f"approximate index: {estimate}, estimated on {index.RECALL_QUERIES} of the stored embeddings"
    names, labels = ([[each[row] for row in near] for near in rows] for each in (embedded.names, embedded.labels))
    return Found(titles, names, labels, space.shown(distances, distance=distance), space.SHOWN[distance], note)


def listed(found: Found) -> list[dict[str, Any]]:
    """Return what was found, as JSON has it."""
    rows = zip(found.queries, found.names, found.labels, found.distances.tolist(), strict=True)
    return [
        {
            "query": query,
            "measure": found.measure,
            "images": [
                {"name": name, "distance": distance, "label": label}
                for name, label, distance in zip(names, labels, distances, strict=True)
            ],
        }
        for query, names, labels, distances in rows
    ]


def _draw(found: Found, asked: Any, encoder: "Encoder | None", embedded: Vectors, output: Path) -> None:
    """Write the contact sheet, if there are pictures."""
    from jaxembed.embed import sources  # here, because it imports jax

    try:
        album = sources.of_vectors(embedded, images=asked.folder, data_dir=asked.data_dir)
    except InputError as error:
        print(f"search: no contact sheet: {files.line(str(error))}", file=sys.stderr)
        return
    if encoder:
        queries, rows = _drawn(asked), _opened(found.names, album)
    else:
        queries, *rows = _opened([found.queries, *found.names], album)
    sheet = contact_sheet(queries, rows)
    with files.replacing(output) as stream:
        sheet.save(stream, format_of(output))
    print(f"Contact sheet: {files.printable(output)} (queries in the first column)")


def parse(arguments: Sequence[str] | None) -> Any:
    """Parse the arguments; RUN is None where it is left out."""
    parser = command.parser("search", __doc__)
    parser.add_argument("run", nargs="?", type=command.source, metavar="RUN", help=command.OPTIONAL_RUN)
    parser.add_argument("vectors", type=command.source, metavar="VECTORS", help=command.VECTORS)
    parser.add_argument(
        "images",
        nargs="*",
        type=command.source,
        metavar="QUERY",
        help="a picture, or a folder of pictures; without RUN, the name of a picture in VECTORS",
    )
    parser.add_argument("--text", action="append", default=[], help="query text (repeatable; not of all encoders)")
    parser.add_argument("--count", type=int, default=10, help="results per query (default: 10)")
    parser.add_argument(
        "--output", type=command.path, help="contact sheet to write (default: search.png, overwritten if it exists)"
    )
    parser.add_argument("--images", type=command.source, dest="folder", metavar="FOLDER", help=command.IMAGES)
    parser.add_argument("--json", action="store_true", help="print what is found as JSON")
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--distance", choices=space.NAMES, help=command.DISTANCE)
    command.add_columns(parser)
    onnx.add_arguments(parser)
    options = parser.parse_intermixed_args(arguments)
    if options.run and vectors.is_file(options.run):
        options.run, options.vectors, options.images = None, options.run, [options.vectors, *options.images]
    options.images = [each for image in options.images for each in _pictures(image, options.run)]
    if not options.images and not options.text:
        known = "RUN VECTORS PICTURE, RUN VECTORS --text TEXT, or VECTORS NAME"
        raise InputError(f"there must be a query: {known}; --help shows the arguments")
    if options.text and not options.run:
        raise InputError(f"--text needs RUN, the encoder that {options.vectors} was written with")
    if options.count < 1:
        raise InputError(f"--count must be at least 1, got {options.count}")
    return options


def _pictures(query: str, run: str | None) -> list[str]:
    """List the pictures of a query that is a folder, and say what is not used; any other is itself."""
    path = files.expanded(query)
    if not run or not path.is_dir():
        return [query]
    from jaxembed.datasets import folder  # here, because it imports jax

    return [str(path / name) for name in folder.scan(path, what="query").names]


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


def _show(found: Found) -> None:
    """Print the nearest images of each query, their distances, and their labels."""
    for query, names, labels, distances in zip(
        found.queries, found.names, found.labels, found.distances, strict=True
    ):
        print(f"{files.printable(query)}, nearest first by {found.measure}:")
        for name, label, distance in zip(names, labels, distances, strict=True):
            print(f"  {distance:.4f}  {files.printable(name)}{f'  [{files.printable(label)}]' if label else ''}")


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
