"""Embed a folder of pictures or a dataset with a trained encoder, and save the embeddings with the image names.

  python -m jaxembed.embed checkpoints/simclr_cifar PHOTOS --output=photos.npz
  python -m jaxembed.embed simclr_mnist mnist --output=mnist.parquet

An .npz file contains `embeddings` [n, d], `names` and, if sub-folders or the dataset provide them, `labels`. A
.parquet file has one row per image, and also map coordinates and nearest neighbours, ready for embedding-atlas.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tqdm

from jaxembed import vectors
from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.vectors import About, Spool, Vectors

if TYPE_CHECKING:
    from jaxembed.frozen import FrozenEncoder
    from jaxembed.originals import Originals

# Neighbours per image in a .parquet file.
NEIGHBOURS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m jaxembed.embed`."""
    parser = command.parser("embed", __doc__)
    parser.add_argument("run", help=command.RUN)
    parser.add_argument("source", help="a folder of pictures, or a dataset name")
    parser.add_argument("--output", type=Path, required=True, help="file to write (.npz or .parquet)")
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    parser.add_argument("--data_dir", help=command.DATA_DIR)
    options = parser.parse_args(arguments)
    vectors.check_suffix(options.output, what=f"--output {options.output}")
    command.check_output(options.output, overwrite=options.overwrite)

    from jaxembed import frozen, originals  # here, because they import jax

    encoder = frozen.load(options.run)
    source = originals.open_source(options.source, data_dir=options.data_dir)
    with Spool(options.output, encoder.dimension) as spool:
        started = time.perf_counter()
        embedded = fill(spool, encoder, source)
        seconds = time.perf_counter() - started
        write(embedded, options.output)
    count = len(embedded.names)
    skipped = f", {source.count - count} skipped" if source.count > count else ""
    print(f"{count:,} images{skipped}, {encoder.dimension} dimensions, {count / seconds:,.0f} images/s")
    print(f"File: {options.output}")


def fill(spool: Spool, encoder: "FrozenEncoder", source: "Originals") -> Vectors:
    """Embed all pictures into a spool, reporting unreadable files; InputError if no picture can be read."""
    with tqdm.tqdm(total=source.count, desc="embedding", unit=" images", disable=None) as bar:
        for chunk in source.stream(encoder.shape):
            for unreadable in chunk.unreadable:
                bar.write(str(unreadable), file=sys.stderr)
            if chunk.names:
                spool.add(chunk.names, chunk.labels, encoder.embed_pixels(chunk.pixels))
            bar.update(len(chunk.names) + len(chunk.unreadable))
    if not spool.names:
        raise InputError(f"none of the {source.count} pictures in {source.name} can be read")
    return spool.vectors(About(source.name, encoder.name, encoder.saved.sha256, encoder.distance))


def write(embedded: Vectors, file: Path) -> None:
    """Write embeddings in the format of the file's suffix."""
    if file.suffix == ".npz":
        vectors.write_npz(embedded, file)
        return
    from jaxembed import index, layout

    embeddings, distance = embedded.embeddings, embedded.about.distance
    neighbours = index.neighbours_of_all(index.make(embeddings, distance=distance), NEIGHBOURS)
    positions = layout.project(embeddings, distance=distance)
    vectors.write_parquet(embedded._replace(positions=positions), neighbours, file)


if __name__ == "__main__":
    sys.exit(command.run("embed", main))
