"""Embed a folder of pictures or a dataset with a trained encoder, and save the embeddings with the image names.

  jaxembed embed checkpoints/simclr_cifar PHOTOS --output=photos.npz
  jaxembed embed simclr_mnist mnist --output=mnist.parquet
  jaxembed embed clip_vit_b32 PHOTOS --output=photos.npz --words=words.txt

With --update, an output that exists is brought up to date with its folder. An .npz file contains `embeddings`
[n, d], `names` and, if sub-folders or the dataset provide them, `labels`. A .parquet file has one row per image,
and also map coordinates and nearest neighbours, ready for embedding-atlas.
"""

import argparse
import functools
import sys
import time
from collections.abc import Sequence

from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import fill, onnx, vectors
from jaxembed.embed.vectors import Spool

UPDATE = (
    "embed only pictures that are new, or have changed since the output was written, and drop those that are gone; "
    "one that was killed resumes from the file OUTPUT.unfinished"
)
THUMBNAILS = "also write small pictures into a .parquet, which embedding-atlas shows"
WORDS = "label each image with the nearest of the words in this file, one on each line; the encoder must have words"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `jaxembed embed`."""
    embed(parse(arguments))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; InputError at those that do not go together."""
    parser = command.parser("embed", __doc__)
    parser.add_argument("run", type=command.source, help=command.RUN)
    parser.add_argument("source", type=command.source, help="a folder of pictures, or a dataset name")
    parser.add_argument("--output", type=command.path, required=True, help="file to write (.npz or .parquet)")
    parser.add_argument("--overwrite", action="store_true", help=command.OVERWRITE)
    parser.add_argument("--update", action="store_true", help=UPDATE)
    parser.add_argument("--data_dir", type=command.source, help=command.DATA_DIR)
    parser.add_argument("--thumbnails", action="store_true", help=THUMBNAILS)
    parser.add_argument("--words", type=command.path, metavar="FILE", help=WORDS)
    onnx.add_arguments(parser)
    options = parser.parse_args(arguments)
    vectors.check_suffix(options.output, what=f"--output {options.output}")
    if options.thumbnails and options.output.suffix != ".parquet":
        raise InputError(f"--thumbnails needs an output that ends in .parquet, got {options.output}")
    command.check_output(options.output, overwrite=options.overwrite or options.update)
    return options


def embed(options: argparse.Namespace) -> None:
    """Embed what the options ask for, and write it into their output."""
    from jaxembed.embed import frozen, renewal, sources, words  # here, because they import jax

    labels = words.read(options.words) if options.words else []
    encoder = frozen.of_arguments(options)
    directions = words.embed(encoder, labels) if labels else None
    source = sources.open_source(options.source, data_dir=options.data_dir)
    fill.check(source.count, options.output)
    with Spool(options.output.parent, encoder.dimension) as spool:
        started = time.perf_counter()
        unfinished = None
        if options.update:
            embedded, new, kept, gone, unfinished = renewal.renew(spool, encoder, source, options.output)
            print(f"{new:,} new or changed, {kept:,} kept, {gone:,} gone")
        else:
            embedded = fill.fill(spool, encoder, source)
            new = len(embedded.names)
        seconds = time.perf_counter() - started
        if directions is not None:
            embedded = words.labelled(embedded, labels, directions)
        thumbnail = functools.partial(sources.thumbnail, source) if options.thumbnails else None
        fill.write(embedded, options.output, thumbnail)
        if unfinished:
            unfinished.unlink(missing_ok=True)
    count = len(embedded.names)
    skipped = f", {source.count - count} skipped" if source.count > count else ""
    print(f"{count:,} images{skipped}, {encoder.dimension} dimensions, {new / seconds:,.0f} images/s")
    if labels:
        print(f"Nearest words: {words.counted(embedded.labels)}")
    print(f"File: {files.printable(options.output)}")


if __name__ == "__main__":
    sys.exit(command.run("embed", main))
