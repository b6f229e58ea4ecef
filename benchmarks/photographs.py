"""What an embedding of photographs is worth: is it the same picture, and what kind of picture is it?

  python -m benchmarks.photographs make PHOTOS
  python -m benchmarks.photographs measure PHOTOS efficientnet_lite0 checkpoints/simclr_photos

`make` cuts crops out of about 100 pictures: those of Debian's packages of wallpapers, which apt downloads, and of
scikit-image's wheel, which pip does. A crop has a random area, shape and place; its name says which picture it is
from and its folder which kind of picture, by hand (`KINDS`). `measure` embeds all of them, by runs and pretrained
encoders and by two controls, and prints a table.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxembed import controls
from jaxembed.cli import config_file
from jaxembed.embed import frozen

PACKAGES = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
)
KINDS = {
    "drawn": "adwaita-l grid-l licorice-l pixels-l truchet-l umang_by_Abhishek_Mudgal analogpattern_by_Peter_Nerlich "
    "Elephants Flow Gulp Float-into-MATE GreenTraditional Altai Autumn Canopee Cascade Cluster Elarun FlyingKonqui "
    "Honeywave IceCold Kay Kokkini MilkyWay Opal PastelHills Patak SafeLanding Shell Volna 2004default calla city "
    "desert firstgeneration fluent-color focal-ubuntukylin goldfish rhythm rollpaper string the-mouse",
    "landscape": "Bridge_by_Sander_Klootwijk aitzgorri_by_Aitzol_Berasategi life_by_Aitzol_Berasategi "
    "picosdeeuropa_by_Aitzol_Berasategi sunset_by_Aitzol_Berasategi Storm BytheWater ColdRipple DarkestHour "
    "EveningGlow Path summer_1am rocket",
    "plants": "Dragonfly_by_Bolly seeding_by_Clements_Engelhardt Blinds Dune FreshFlower Garden GreenMeadow LadyBird "
    "RainDrops TwoWings YellowFlower FallenLeaf OneStandsOut",
    "things": "Picture_0B_by_freespace Picture_1A_by_freespace Wine_by_Jakkub_Mede free_by_Peter_Nerlich "
    "friends_by_Aitzol_Berasategi greentock_by_Peter_Nerlich ColorfulCups Kite astronaut camera chelsea coffee coins "
    "motorcycle_left",
    "surfaces": "wood-l Wood Stripes Aqua Grey brick grass gravel cell ihc moon retina hubble_deep_field text page",
}
EXTENSIONS = (".jpg", ".png", ".webp")
# Crops of a picture, and the shorter side of each in pixels.
CROPS, SIDE = 9, 256
# Shares of a picture's area; the logarithm of a crop's width over its height, compared with the picture's.
AREAS, SHAPES = (0.15, 0.5), (-0.4, 0.4)
NEIGHBOURS = 5
CONFIG = Path(__file__).parents[1] / "configs" / "simclr_photos.py"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder, or measure embeddings of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs")
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("folder", type=Path, help="folder of the crops")
    parser.add_argument("runs", nargs="*", help="run folders, encoder files or pretrained encoders to measure")
    asked = parser.parse_args(arguments)
    if asked.what == "make":
        make(asked.folder)
    else:
        measure(asked.folder, asked.runs)


def make(folder: Path) -> None:
    """Download the pictures, and write the crops of those in `KINDS`: `<kind>/<picture>.<number>.jpg`."""
    kinds = {name: kind for kind, names in KINDS.items() for name in names.split()}
    with tempfile.TemporaryDirectory() as temporary:
        found = dict(_pictures(_downloaded(Path(temporary))))
        for number, name in enumerate(sorted(kinds)):
            (folder / kinds[name]).mkdir(parents=True, exist_ok=True)
            with Image.open(found[name]) as picture:
                for index, crop in enumerate(_crops(picture.convert("RGB"), seed=number)):
                    crop.save(folder / kinds[name] / f"{name}.{index}.jpg", quality=90)
    print(f"{CROPS * len(kinds)} crops of {len(kinds)} pictures in {folder}")


def measure(folder: Path, runs: Sequence[str]) -> None:
    """Print a row for each control and run: the same picture by R@1 and R-precision, the kind by 5-NN."""
    files = sorted(folder.glob("*/*.jpg"))
    sources = np.array([file.name.rsplit(".", 2)[0] for file in files])
    kinds = np.array([file.parent.name for file in files])
    majority = np.unique(kinds, return_counts=True)[1].max() / len(kinds)
    print(f"{len(files)} crops of {len(set(sources))} pictures; {majority:.2f} are of the largest kind\n")
    print("| embedding | same picture R@1 | R-precision | kind by 5-NN |\n|---|---:|---:|---:|")
    for name, vectors in _embedded(files, runs):
        print(
            f"| {name} | " + " | ".join(f"{score:.3f}" for score in scores(vectors, sources, kinds)) + " |",
            flush=True,
        )


def scores(vectors: Float[np.ndarray, "n d"], sources: np.ndarray, kinds: np.ndarray) -> tuple[float, float, float]:
    """Measure an embedding by cosine.

    Returns:
      R@1: the share of crops whose nearest one is from the same picture; R-precision: the share of the k nearest, for
      k others from the picture, that are; the share of crops whose kind is that of most of the 5 nearest from
      other pictures.
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


def _downloaded(folder: Path) -> Path:
    """Download the packages, and unpack them in a folder."""
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    wheel = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "scikit-image"]
    subprocess.run(wheel, cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    for package in folder.glob("*.whl"):
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
    return folder


def _pictures(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the names and files of pictures; a wallpaper's of Plasma is that of its folder, in its largest size."""
    for file in sorted(folder.rglob("*"), key=lambda file: (file.stat().st_size, str(file))):
        if file.suffix in EXTENSIONS and file.is_file() and not file.is_symlink():
            if file.parent.name == "images":
                yield file.parents[2].name, file
            elif file.stem != "screenshot":
                yield file.stem, file


def _crops(picture: Image.Image, *, seed: int) -> Iterator[Image.Image]:
    """Yield crops of a picture."""
    random = np.random.default_rng(seed)
    for _ in range(CROPS):
        share, shape = np.sqrt(random.uniform(*AREAS)), np.exp(random.uniform(*SHAPES) / 2)
        width, height = (
            round(min(1.0, part) * side)
            for part, side in zip((share * shape, share / shape), picture.size, strict=True)
        )
        left, top = (
            int(random.integers(side - part + 1)) for side, part in zip(picture.size, (width, height), strict=True)
        )
        scale = SIDE / min(width, height)
        yield picture.resize(
            (round(width * scale), round(height * scale)), box=(left, top, left + width, top + height)
        )


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
