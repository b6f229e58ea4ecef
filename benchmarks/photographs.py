"""What an embedding of photographs is worth: is it the same picture, and what kind of picture is it?

  python -m benchmarks.photographs PHOTOS efficientnet_lite0 checkpoints/simclr_photos

PHOTOS is a folder that `benchmarks.crops` made. Two controls, and runs and pretrained encoders, embed all of it; a
row of a table is printed for each.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxembed import controls
from jaxembed.cli import config_file
from jaxembed.embed import frozen

NEIGHBOURS = 5
CONFIG = Path(__file__).parents[1] / "configs" / "simclr_photos.py"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure embeddings of a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs")
    parser.add_argument("folder", type=Path, help="folder of the crops")
    parser.add_argument("runs", nargs="*", help="run folders, encoder files or pretrained encoders")
    asked = parser.parse_args(arguments)
    measure(asked.folder, asked.runs)


def measure(folder: Path, runs: Sequence[str]) -> None:
    """Print a row for each control and run: the same picture by R@1 and R-precision, the kind by 5-NN."""
    files = sorted(folder.glob("*/*.jpg"))
    sources = np.array([file.name.rsplit(".", 2)[0] for file in files])
    kinds = np.array([file.parent.name for file in files])
    majority = np.unique(kinds, return_counts=True)[1].max() / len(kinds)
    print(f"{len(files)} crops of {len(set(sources))} pictures; the largest kind has {majority:.0%} of them\n")
    print("| embedding | same picture R@1 | R-precision | kind by 5-NN |\n|---|---:|---:|---:|")
    for name, vectors in _embedded(files, runs):
        print(
            f"| {name} | " + " | ".join(f"{score:.3f}" for score in scores(vectors, sources, kinds)) + " |",
            flush=True,
        )


def scores(vectors: Float[np.ndarray, "n d"], sources: np.ndarray, kinds: np.ndarray) -> tuple[float, float, float]:
    """Measure an embedding by cosine.

    Returns:
      R@1, the share of crops whose nearest one is from the same picture; R-precision, the share of the k nearest
      that are, where k others are from the picture; and the share of crops whose kind most of the 5 nearest crops
      of other pictures have.
    """
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    likeness = vectors @ vectors.T
    same = sources[:, None] == sources[None]
    np.fill_diagonal(likeness, -np.inf)
    order = np.argsort(-likeness, axis=1, kind="stable")
    found = np.take_along_axis(same, order, axis=1)
    precision = [row[: count - 1].mean() for row, count in zip(found, same.sum(axis=1), strict=True)]
    elsewhere = np.argsort(np.where(same, np.inf, -likeness), axis=1, kind="stable")[:, :NEIGHBOURS]
    predicted = [max(near, key=list(near).count) for near in kinds[elsewhere]]
    return float(found[:, 0].mean()), float(np.mean(precision)), float((predicted == kinds).mean())


def _embedded(files: Sequence[Path], runs: Sequence[str]) -> Iterator[tuple[str, Float[np.ndarray, "n d"]]]:
    """Yield the names of controls and runs, and their embeddings of pictures."""
    config = config_file.load(CONFIG)
    like = frozen.load(config.encoder.start)
    pixels = np.stack([like.pixels(file) for file in files])
    yield "`histogram`", controls.fit({"name": "histogram"}, pixels, seed=0)(pixels)
    untrained = {"name": "untrained", "encoder": config.encoder.to_dict(), "dtype": config.train.dtype}
    yield "`untrained`", controls.fit(untrained, pixels, seed=0)(pixels)
    for run in runs:
        yield f"`{run}`", frozen.load(run).embed(files)


if __name__ == "__main__":
    main()
