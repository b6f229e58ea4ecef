"""Look around in an embedding, in a browser on this machine.

  python -m jaxembed.explore checkpoints/simclr_folder photos.npz
  python -m jaxembed.explore checkpoints/simclr_folder PHOTOS
  python -m jaxembed.explore checkpoints/simclr_folder

The page has a map of all images: pointing at one shows it, a lasso lists some. A picture that is chosen or dropped
on the page is embedded, placed on the map and shown with its nearest images. Without vectors or a folder, the
images of the run's own dataset are shown.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxembed import command, vectors
from jaxembed.errors import InputError
from jaxembed.vectors import SUFFIXES, Spool, Vectors

if TYPE_CHECKING:
    from jaxembed.frozen import FrozenEncoder
    from jaxembed.originals import Originals


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    parser = command.parser("explore", __doc__)
    parser.add_argument("run", help="a run's folder, or the name of a published encoder")
    parser.add_argument(
        "source", nargs="?", help="vectors of this encoder, a folder of pictures, or a dataset's name"
    )
    parser.add_argument("--port", type=int, default=5006, help="of the page (default: 5006; 0: any that is free)")
    parser.add_argument("--data_dir", help="folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own)")
    options = parser.parse_args(arguments)
    if not 0 <= options.port < 65536:
        raise InputError(f"--port must be from 0 to 65535, got {options.port}")

    from jaxembed import frozen  # here, because these import jax
    from jaxembed.explore import server

    sockets = server.listen(options.port)
    encoder = frozen.load(options.run)
    shown, originals = _shown(encoder, options.source or _own(encoder), options.data_dir)
    server.serve(encoder, shown, originals, sockets)


def _own(encoder: "FrozenEncoder") -> str:
    """Name the pictures that a run learned from."""
    data = encoder.stored.config["data"]
    return data.get("path", data["name"])


def _shown(encoder: "FrozenEncoder", source: str, data_dir: str | None) -> "tuple[Vectors, Originals]":
    """Read vectors and find their pictures, or embed pictures."""
    from jaxembed import embed, layout, originals, search

    file = Path(source)
    if file.suffix in SUFFIXES and not file.is_dir():
        made = vectors.read(file)
        search.check(made, encoder, file)
        found = originals.find(made.about.source, data_dir=data_dir)
    else:
        found = originals.find(source, data_dir=data_dir)
        with Spool(Path(tempfile.gettempdir(), "vectors"), encoder.dimension) as spool:
            made = embed.fill(spool, encoder, found)
    if made.points is None:
        print(f"making a map of {len(made.names):,} images")
        made = made._replace(points=layout.project(made.embeddings, distance=encoder.distance))
    return made, found


if __name__ == "__main__":
    sys.exit(command.run("explore", main))
