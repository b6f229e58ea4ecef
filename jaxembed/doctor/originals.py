"""Originals: the files of pictures, how large, how old and how sharp they are, and what is wrong with them."""

import csv
import datetime
import functools
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tqdm
from jaxtyping import Float

from jaxembed import pictures
from jaxembed.artifacts import diagnosis
from jaxembed.core import files

FILE = "quality.csv"
# Sharpness and brightness are measured on grey values with a longer side of this many pixels.
SIDE = 256
# Below these, a picture is blank (deviation of its grey values), dark (their mean), tiny (its shorter side).
BLANK, DARK, TINY = 3.0, 16.0, 64
# The sharpness of blurred pictures: 22 of 30 that were blurred have less, of 411 others none (benchmarks.planted).
BLURRED = 0.07


class Original(NamedTuple):
    """A picture's file.

    Attributes:
      width: its width in pixels.
      height: its height in pixels.
      size: bytes.
      modified: when it was last changed, in seconds since 1970.
      mean: the mean of its grey values, 0 to 255.
      deviation: their standard deviation.
      sharpness: the standard deviation of their Laplacian, relative to their own.
    """

    width: int
    height: int
    size: int
    modified: float
    mean: float
    deviation: float
    sharpness: float

    @property
    def date(self) -> str:
        """When it was last changed, in this machine's time zone."""
        return datetime.datetime.fromtimestamp(self.modified).isoformat(sep=" ", timespec="seconds")

    @property
    def problem(self) -> str:
        """What is wrong with it; "" for nothing."""
        if self.deviation < BLANK:
            return "blank"
        if self.mean < DARK:
            return "dark"
        if min(self.width, self.height) < TINY:
            return "tiny"
        return "blurred" if self.sharpness < BLURRED else ""


def read(file_of: Callable[[str], Path], names: Sequence[str]) -> dict[str, Original]:
    """Read the files of pictures, in threads; those that cannot be read are left out.

    Args:
      file_of: returns the file of a picture, or raises an InputError.
      names: the names of the pictures.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(functools.partial(_read, file_of), names)
        shown = tqdm.tqdm(found, total=len(names), desc="pictures", disable=None, leave=False)
        return {name: original for name, original in zip(names, shown, strict=True) if original}


def write(originals: Mapping[str, Original], output: Path) -> list[Path]:
    """Write what is wrong with pictures as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "problem", "width", "height", "mean", "deviation", "sharpness"])
    for name, each in sorted(originals.items(), key=lambda item: (item[1].problem, item[0])):
        if each.problem:
            numbers = (f"{number:.4g}" for number in (each.mean, each.deviation, each.sharpness))
            writer.writerow([diagnosis.cell(name), each.problem, each.width, each.height, *numbers])
    files.write_text(output / FILE, text.getvalue())
    return [output / FILE]


def sharpness(grey: Float[np.ndarray, "h w"]) -> float:
    """Return the standard deviation of the Laplacian relative to that of the grey values themselves.

    It is 0 for a plane, and near 4.5 for noise. Source: the variance of the Laplacian of Pech-Pacheco et al. 2000,
    "Diatom autofocusing in brightfield microscopy", divided by the contrast.
    """
    inside = grey[1:-1, 1:-1]
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * inside
    return float(laplacian.std() / max(grey.std(), 1)) if laplacian.size else 0.0


def _read(file_of: Callable[[str], Path], name: str) -> Original | None:
    try:
        file = file_of(name)
        with pictures.opened(file) as picture:
            width, height = picture.size
            picture.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded at about this size
            small = picture.convert("L") if picture.mode in ("L", "RGB") else pictures.open_rgb(file).convert("L")
        small.thumbnail((SIDE, SIDE))
        grey, about = np.asarray(small, np.float32), file.stat()
    except Exception:  # a damaged file can raise anything; it was named when it could not be embedded
        return None
    numbers = (float(grey.mean()), float(grey.std()), sharpness(grey))
    return Original(width, height, about.st_size, about.st_mtime, *numbers)
