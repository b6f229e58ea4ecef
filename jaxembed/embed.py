"""Embed a folder of pictures, or a dataset, with a trained encoder; write the vectors with the files' names.

  python -m jaxembed.embed checkpoints/simclr_cifar PHOTOS --output=photos.npz
  python -m jaxembed.embed simclr_mnist mnist --output=mnist.parquet

An .npz holds `embeddings` [n, d], `names` and, where sub-folders or the dataset give them, `labels`. A .parquet has
a row for each image and, in addition, its place on a map and its nearest neighbours, as embedding-atlas reads
them.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tqdm

from jaxembed import command, vectors
from jaxembed.errors import InputError
from jaxembed.vectors import About, Spool, Vectors

if TYPE_CHECKING:
    from jaxembed.frozen import FrozenEncoder
    from jaxembed.originals import Originals

# Neighbours of each image in a .parquet.
NEIGHBOURS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed what the arguments say."""
    parser = command.parser("embed", __doc__)
    parser.add_argument("run", help="a run's folder, or the name of a published encoder")
    parser.add_argument("source", help="a folder of pictures, or a dataset's name")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .npz or .parquet")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--data_dir", help="folder of TFDS datasets (default: $TFDS_DATA_DIR, else TFDS's own)")
    options = parser.parse_args(arguments)
    vectors.check_suffix(options.output)
    command.check_output(options.output, overwrite=options.overwrite)

    from jaxembed import frozen, originals  # here, because they import jax

    encoder = frozen.load(options.run)
    found = originals.find(options.source, data_dir=options.data_dir)
    with Spool(options.output, encoder.dimension) as spool:
        started = time.perf_counter()
        made = fill(spool, encoder, found)
        seconds = time.perf_counter() - started
        write(made, options.output)
    count = len(made.names)
    skipped = f", {found.count - count} skipped" if found.count > count else ""
    print(f"{count:,} images{skipped}, {encoder.dimension} numbers each, {count / seconds:,.0f} images/s")
    print(f"File: {options.output}")


def fill(spool: Spool, encoder: "FrozenEncoder", found: "Originals") -> Vectors:
    """Embed all pictures into a spool; those that cannot be read are reported, InputError if none can."""
    with tqdm.tqdm(total=found.count, desc="embedding", unit=" images", disable=None) as bar:
        for chunk in found.stream(encoder.shape):
            for bad in chunk.bad:
                bar.write(str(bad), file=sys.stderr)
            if chunk.names:
                spool.add(chunk.names, chunk.labels, encoder.embed_pixels(chunk.pixels))
            bar.update(len(chunk.names) + len(chunk.bad))
    if not spool.names:
        raise InputError(f"none of the {found.count} pictures in {found.source} can be read")
    return spool.vectors(About(found.source, encoder.name, encoder.stored.sha256, encoder.distance))


def write(made: Vectors, file: Path) -> None:
    """Write vectors in the format that the file's name says."""
    if file.suffix == ".npz":
        vectors.write_npz(made, file)
        return
    from jaxembed import index, layout

    found = index.others(index.make(made.embeddings, distance=made.about.distance), NEIGHBOURS)
    points = layout.project(made.embeddings, distance=made.about.distance)
    vectors.write_parquet(made._replace(points=points), found, file)


if __name__ == "__main__":
    sys.exit(command.run("embed", main))
