"""Does the doctor find copies, and blank and blurred pictures, in a folder of photographs? Plant them and see.

  python -m benchmarks.planted FOLDER efficientnet_lite0

The pictures are those of `benchmarks.crops`, one crop of each. Of 20 there is a re-saved copy, smaller and in
another quality; of 20 others a second shot, as in a burst: the camera moved by 2% to 6% of the picture and came 2%
to 6% nearer, and the light changed by up to 10%. 10 are blank but for noise, and 10 are blurred copies of others.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks import crops

COUNT, FEW, SIDE = 20, 10, 640
# Each kind's part of the folder's names.
COPY, BURST, BLANK, BLURRED = "copy", "burst", "blank", "blurred"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the folder, examine it, and print precision and recall."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted")
    parser.add_argument("folder", type=Path, help="folder to make, or made before")
    parser.add_argument("run", help="a run's folder, or a pretrained encoder")
    parser.add_argument("--seed", type=int, default=1, help="seed of what is planted (default: 1)")
    asked = parser.parse_args(arguments)
    if not asked.folder.exists():
        make(asked.folder, seed=asked.seed)
    with tempfile.TemporaryDirectory() as output:
        words = [sys.executable, "-m", "jaxembed.doctor", asked.run, asked.folder, f"--output={output}"]
        subprocess.run(words, check=True)
        show(Path(output))


def make(folder: Path, *, seed: int) -> None:
    """Plant pictures among those of `crops`."""
    kinds = {name: kind for kind, names in crops.KINDS.items() for name in names.split()}
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        found = dict(crops._pictures(crops._downloaded(Path(temporary))))
        order = np.random.default_rng(seed).permutation(sorted(kinds)).tolist()
        for number, name in enumerate(order):
            with Image.open(found[name]) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((2 * SIDE, 2 * SIDE))
            plant(picture, name, number, folder, seed=seed)
    random = np.random.default_rng(0)
    for number in range(FEW):
        pixels = random.integers(0, 256, 3) + random.normal(0, 1.5, (480, SIDE, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{BLANK}_{number}.jpg", quality=90)


def plant(picture: Image.Image, name: str, number: int, folder: Path, *, seed: int) -> None:
    """Save a picture and, by its number, what is planted of it."""
    random = np.random.default_rng((seed, number))
    width, height = picture.size
    frame = (0.08 * width, 0.08 * height, 0.92 * width, 0.92 * height)
    whole = picture.crop(tuple(map(round, frame)))
    whole.save(folder / f"{name}.jpg", quality=92)
    if number < COUNT:
        scale = random.uniform(0.4, 0.9)
        smaller = whole.resize(tuple(max(1, round(scale * side)) for side in whole.size))
        smaller.save(folder / f"{COPY}_{name}.jpg", quality=int(random.integers(30, 85)))
    elif number < 2 * COUNT:
        moved, nearer = random.uniform(0.02, 0.06, 2) * random.choice((-1, 1), 2), random.uniform(0.02, 0.06)
        sides = np.array([0.84 * width, 0.84 * height]) * (1 - nearer)
        corner = np.array(frame[:2]) + moved * picture.size
        shot = picture.crop(tuple(np.rint([*corner, *(corner + sides)]).astype(int).tolist()))
        shot = ImageEnhance.Brightness(shot).enhance(random.uniform(0.9, 1.1))
        shot.save(folder / f"{BURST}_{name}.jpg", quality=92)
    elif number < 2 * COUNT + FEW:
        blurred = whole.filter(ImageFilter.GaussianBlur(0.015 * min(whole.size)))
        blurred.save(folder / f"{BLURRED}_{name}.jpg", quality=92)


def show(output: Path) -> None:
    """Print how many of the planted pictures are in the doctor's groups and lists, and what else is."""
    print("| planted | found | others listed |\n|---|---:|---:|")
    groups = _rows(output / "groups.csv")
    members: dict[str, set[str]] = {}
    for row in groups:
        members.setdefault(row["group"], set()).add(row["image"])
    pairs = {frozenset((one, other)) for each in members.values() for one in each for other in each if one != other}
    copies = {frozenset((f"{COPY}_{name}", name)) for name in _planted(pairs, COPY)}
    bursts = {frozenset((f"{BURST}_{name}", name)) for name in _planted(pairs, BURST)}
    print(f"| {COUNT} re-saved copies | {len(copies & pairs)} | {len(pairs - copies - bursts)} |")
    print(f"| {COUNT} shots of a burst | {len(bursts & pairs)} | – |")
    listed = _rows(output / "quality.csv")
    for kind in (BLANK, BLURRED):
        names = {row["image"] for row in listed if row["problem"] == kind}
        right = {name for name in names if name.startswith(f"{kind}_")}
        print(f"| {FEW} {kind} | {len(right)} | {len(names - right)} |")


def _planted(pairs: set[frozenset[str]], kind: str) -> set[str]:
    return {name.removeprefix(f"{kind}_") for pair in pairs for name in pair if name.startswith(f"{kind}_")}


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
