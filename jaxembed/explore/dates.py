"""When pictures were taken: as they say in EXIF, or else when their files were last changed."""

import datetime
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxembed import pictures
from jaxembed.embed.sources import Pictures

# Tags of EXIF: the directory of a camera's own tags, in which DateTimeOriginal is.
_CAMERA, _TAKEN = 0x8769, 0x9003


def taken(folder: Pictures, names: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Return when each picture was taken, in seconds since 1970; NaN for one that is gone."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.fromiter(threads.map(lambda name: _taken(folder, name), names, chunksize=256), float, len(names))


def _taken(folder: Pictures, name: str) -> float:
    try:
        file = folder.file(name)
        return _told(file) or file.stat().st_mtime
    except Exception:  # it was moved, or is not inside the folder
        return float("nan")


def _told(file: Path) -> float | None:
    try:
        with pictures.opened(file) as picture:
            text = picture.getexif().get_ifd(_CAMERA).get(_TAKEN)
        return datetime.datetime.strptime(text, "%Y:%m:%d %H:%M:%S").timestamp() if text else None
    except Exception:  # damaged EXIF can raise anything, and so can a damaged picture
        return None
