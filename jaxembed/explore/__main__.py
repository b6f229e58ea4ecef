"""Explore an embedding in the browser, served locally.

  jaxembed explore checkpoints/simclr_folder photos.npz
  jaxembed explore checkpoints/simclr_folder PHOTOS
  jaxembed explore checkpoints/simclr_folder
  jaxembed explore dinov2.parquet --images=PHOTOS
  jaxembed explore photos.npz dinov2.parquet

The page has a map of all images. A click on a point, or on any image, shows it large, with its nearest neighbours;
back and forward return to earlier ones. The name of a class selects its images, and so do a text that names contain
and a lasso, which list them. A selection can be tagged, saved and, with --copies=FOLDER, copied. A grid has all
images, sorted by name, date, likeness, or how far they are from all others. Choose a new image, or drop one on the
page, to see its position on the map and its nearest neighbours. Without a source, the page shows the dataset of the
run; without a run, a file of vectors from any tool, with no search for new images.
"""

import functools
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import onnx, stored, vectors
from jaxembed.embed.vectors import Spool, Vectors
from jaxembed.explore import tags
from jaxembed.kernels import space

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder
    from jaxembed.embed.sources import Album
    from jaxembed.explore.atlas import Atlas
    from jaxembed.explore.desk import Desk

TAGS = "CSV file of names and tags (default: <vectors>.tags.csv, next to a file of vectors)"
FACTS = "CSV file about the pictures: a column of names, and columns that the map can be coloured by"
WORDS = "file of words, one per line, that name the clusters of an encoder with words"
COPIES = "folder that the page may copy pictures of a selection into; nothing in it is replaced"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed explore`."""
    from jaxembed.explore import server  # here, because it imports jax

    server.serve(*opened(parse(arguments)))


def parse(arguments: Sequence[str] | None) -> Any:
    """Parse the arguments."""
    parser = command.parser("explore", __doc__)
    parser.add_argument("run", nargs="?", type=command.source, metavar="RUN", help=command.OPTIONAL_RUN)
    parser.add_argument(
        "source",
        nargs="?",
        type=command.source,
        metavar="SOURCE",
        help=f"{command.VECTORS}; with RUN also a folder of pictures or a dataset name (default: the run's data)",
    )
    parser.add_argument(
        "--port", type=int, default=5006, help="port to serve on (default: 5006; 0 picks a free port)"
    )
    parser.add_argument("--images", type=command.source, metavar="FOLDER", help=command.IMAGES)
    parser.add_argument("--tags", type=command.path, metavar="FILE", help=TAGS)
    parser.add_argument("--columns", type=command.path, metavar="FILE", help=FACTS)
    parser.add_argument("--words", type=command.path, metavar="FILE", help=WORDS)
    parser.add_argument("--copies", type=command.path, metavar="FOLDER", help=COPIES)
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--distance", choices=space.NAMES, help=command.DISTANCE)
    command.add_columns(parser)
    onnx.add_arguments(parser)
    options = vectors.without_run(_two_files(parser.parse_intermixed_args(arguments)))
    if not 0 <= options.port < 65536:
        raise InputError(f"--port must be from 0 to 65535, got {options.port}")
    if options.tags:
        command.check_output(options.tags, overwrite=True, option="--tags")
    if options.copies:
        command.check_folder(options.copies, option="--copies")
    return options


def _two_files(asked: Any) -> Any:
    """Move the second of two files of vectors from `source` to `second`: its map is drawn beside the other."""
    asked.second = None
    if asked.run and asked.source and vectors.is_file(asked.run) and vectors.is_file(asked.source):
        asked.second, asked.source = files.expanded(asked.source), None
    return asked


def opened(asked: Any) -> "tuple[Encoder | None, Vectors, Album | None, Atlas, Desk, list[socket.socket]]":
    """Listen on the port, load the encoder and the vectors, and open the pictures; None for what there is not."""
    from jaxembed.embed import frozen  # here, because these import jax
    from jaxembed.explore import clusters, server
    from jaxembed.explore.desk import Desk

    sockets = server.listen(asked.port)
    tagged = _tagged(asked)
    encoder = frozen.of_arguments(asked)
    labels = _words(encoder, asked.words) if asked.words else []
    embedded, album = _load_source(encoder, asked)
    namer = functools.partial(clusters.by_words, encoder, labels) if labels else None
    atlas = _atlas(embedded, album, asked, namer)
    return encoder, embedded, album, atlas, Desk(embedded, album, tagged=tagged, copied=asked.copies), sockets


def _words(encoder: "Encoder | None", file: Path) -> list[str]:
    """Read the words that name clusters; InputError without an encoder that has words."""
    from jaxembed.embed import words

    if encoder is None or not encoder.has_words:
        raise InputError("--words needs RUN to be an encoder with words, such as clip_vit_b32, before the source")
    return words.read(file)


def _atlas(embedded: Vectors, album: "Album | None", asked: Any, namer: Any) -> "Atlas":
    """Make the maps and what colours them; `namer` names clusters by words, None without words."""
    from jaxembed.explore import columns, second
    from jaxembed.explore.atlas import Atlas

    return Atlas(
        embedded,
        album,
        second=second.read(asked.second, embedded) if asked.second else None,
        columns=columns.read(asked.columns, embedded.names) if asked.columns else None,
        words=namer,
    )


def _tagged(asked: Any) -> Path | None:
    """Return the file of the tags, which may not exist yet; None if there is no place for it.

    Raises:
      InputError: if it does not hold tags.
    """
    file = asked.tags
    if not file and asked.source and vectors.is_file(asked.source):
        file = files.expanded(asked.source).with_suffix(tags.SUFFIX)
    if file:
        known = {name for name, _ in tags.read(file)}
        print(f"Tags: {files.printable(file)}, of {len(known):,} pictures")
    return file


def _load_source(encoder: "Encoder | None", asked: Any) -> "tuple[Vectors, Album | None]":
    """Read embeddings and open their pictures, None if they are gone, or embed those of a folder or dataset.

    Args:
      encoder: the encoder; None for a file of vectors without one.
      asked: the command's options.
    """
    from jaxembed.embed import fill, index, projection, sources
    from jaxembed.explore import copies

    name = asked.source or _training_source(encoder)
    if vectors.is_file(name):
        embedded = stored.read(files.expanded(name), asked, encoder)
        album = _opened(embedded, images=asked.images, data_dir=asked.data_dir)
        copies.check(album, asked.copies)
    else:
        album = sources.open_source(name, data_dir=asked.data_dir)
        copies.check(album, asked.copies)
        index.check(album.count)
        with Spool(Path(tempfile.gettempdir()), encoder.dimension) as spool:
            embedded = fill.fill(spool, encoder, album)
        embedded = stored.compared(embedded, asked.distance)
    if embedded.positions is None:
        distance = embedded.about.distance
        print(f"computing the map of {len(embedded.names):,} images by {space.NAMES[distance]}")
        positions = projection.project(embedded.embeddings, distance=distance)
        embedded = embedded._replace(positions=positions)
    return embedded, album


def _training_source(encoder: "Encoder") -> str:
    """Return the folder or dataset of a run."""
    data = encoder.data
    return data.get("path", data["name"])


def _opened(embedded: Vectors, *, images: str | None, data_dir: str | None) -> "Album | None":
    """Open the pictures of a file of vectors; None, with a warning, if they are not where the file says."""
    from jaxembed.embed import sources

    try:
        return sources.of_vectors(embedded, images=images, data_dir=data_dir)
    except InputError as error:
        if images is not None:
            raise
        print(f"explore: the map has no pictures: {files.line(str(error))}", file=sys.stderr)
        return None


if __name__ == "__main__":
    sys.exit(command.run("explore", main))
