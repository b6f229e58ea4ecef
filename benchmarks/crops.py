"""Make a folder of photographs in which several crops show the same picture.

  python -m benchmarks.crops PHOTOS --edited

About 100 pictures are those of Debian's packages of wallpapers, which apt downloads, and of scikit-image's wheel,
which pip does. A crop has a random area, shape and place and, with --edited, is mirrored or not, and lighter or
darker, with more or less contrast and colour. Its name says which picture it is from, and its folder which kind of
picture, by hand.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

PACKAGES = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
)
KINDS = {
    "drawn": "adwaita-l grid-l licorice-l pixels-l truchet-l umang_by_Abhishek_Mudgal "
    "analogpattern_by_Peter_Nerlich Elephants Flow Gulp Float-into-MATE GreenTraditional Altai Autumn "
    "Canopee Cascade Cluster Elarun FlyingKonqui Honeywave IceCold Kay Kokkini MilkyWay Opal "
    "PastelHills Patak SafeLanding Shell Volna 2004default calla city desert firstgeneration "
    "fluent-color focal-ubuntukylin goldfish rhythm rollpaper string the-mouse",
    "landscape": "Bridge_by_Sander_Klootwijk aitzgorri_by_Aitzol_Berasategi life_by_Aitzol_Berasategi "
    "picosdeeuropa_by_Aitzol_Berasategi sunset_by_Aitzol_Berasategi Storm BytheWater ColdRipple "
    "DarkestHour EveningGlow Path summer_1am rocket",
    "plants": "Dragonfly_by_Bolly seeding_by_Clements_Engelhardt Blinds Dune FreshFlower Garden GreenMeadow "
    "LadyBird RainDrops TwoWings YellowFlower FallenLeaf OneStandsOut",
    "things": "Picture_0B_by_freespace Picture_1A_by_freespace Wine_by_Jakkub_Mede free_by_Peter_Nerlich "
    "friends_by_Aitzol_Berasategi greentock_by_Peter_Nerlich ColorfulCups Kite astronaut camera chelsea "
    "coffee coins motorcycle_left",
    "surfaces": "wood-l Wood Stripes Aqua Grey brick grass gravel cell ihc moon retina hubble_deep_field text page",
}
EXTENSIONS = (".jpg", ".png", ".webp")
# Crops of a picture, and the shorter side of each in pixels.
CROPS, SIDE = 9, 256
# Shares of a picture's area; the logarithm of a crop's width over its height, compared with the picture's.
AREAS, SHAPES = (0.15, 0.5), (-0.4, 0.4)
# Factors of an edited crop's brightness, contrast and colour.
EDITS = (0.6, 1.4)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crops")
    parser.add_argument("folder", type=Path, help="folder of the crops")
    parser.add_argument("--edited", action="store_true", help="edit each crop")
    asked = parser.parse_args(arguments)
    make(asked.folder, edited=asked.edited)


def make(folder: Path, *, edited: bool) -> None:
    """Download the pictures, and write the crops of those in `KINDS`: `<kind>/<picture>.<number>.jpg`."""
    kinds = {name: kind for kind, names in KINDS.items() for name in names.split()}
    with tempfile.TemporaryDirectory() as temporary:
        found = dict(_pictures(_downloaded(Path(temporary))))
        for number, name in enumerate(sorted(kinds)):
            (folder / kinds[name]).mkdir(parents=True, exist_ok=True)
            with Image.open(found[name]) as picture:
                for index, crop in enumerate(_crops(picture.convert("RGB"), edited=edited, seed=number)):
                    crop.save(folder / kinds[name] / f"{name}.{index}.jpg", quality=90)
    print(f"{CROPS * len(kinds)} crops of {len(kinds)} pictures in {folder}")


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


def _crops(picture: Image.Image, *, edited: bool, seed: int) -> Iterator[Image.Image]:
    """Yield crops of a picture; an edited one is cut as it is without that."""
    places, edits = (np.random.default_rng((seed, number)) for number in range(2))
    sides = np.array(picture.size)
    for _ in range(CROPS):
        share, shape = np.sqrt(places.uniform(*AREAS)), np.exp(places.uniform(*SHAPES) / 2)
        size = np.rint(np.minimum(1, (share * shape, share / shape)) * sides).astype(int)
        corner = places.integers(sides - size + 1)
        target = np.rint(size * SIDE / size.min()).astype(int)
        crop = picture.resize(target.tolist(), box=(*corner.tolist(), *(corner + size).tolist()))
        yield _edit(crop, edits) if edited else crop


def _edit(crop: Image.Image, edits: np.random.Generator) -> Image.Image:
    """Mirror half of all crops, and change their brightness, contrast and colour."""
    if edits.random() < 0.5:
        crop = ImageOps.mirror(crop)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        crop = change(crop).enhance(edits.uniform(*EDITS))
    return crop


if __name__ == "__main__":
    main()
