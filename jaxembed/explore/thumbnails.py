"""Thumbnails of the pictures in a folder: each is drawn once and kept in the user's cache folder."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from jaxembed.core import files
from jaxembed.datasets.storage import cache
from jaxembed.embed import sources
from jaxembed.embed.sources import Album, Pictures

# Longer side in pixels, of a thumbnail and of a picture that is shown alone; bytes that the thumbnails of all
# folders may take before the server starts.
SIDE, LARGE, MOST = 224, 1024, 4 * 10**9
NAME = "thumbnails"


class Thumbnails:
    """Draws thumbnails by row; those of files are kept until their file changes, those of a dataset are not."""

    def __init__(self, originals: Album, names: Sequence[str]) -> None:
        """Take the pictures with these names."""
        self.originals, self.names = originals, names
        self.cache = cache.user_stem(NAME, originals.path) if isinstance(originals, Pictures) else None

    def draw(self, row: int) -> bytes:
        """Read or draw a thumbnail, as the content of a WebP file; any error if its picture cannot be read."""
        if self.cache is None:
            return self._drawn(row, SIDE)
        kept = self.cache / self._key(row)
        try:
            return kept.read_bytes()
        except OSError:
            content = self._drawn(row, SIDE)
        with contextlib.suppress(OSError):  # no cache folder, or a full disk: it is drawn again each time
            _keep(kept, content)
        return content

    def draw_large(self, row: int) -> bytes:
        """Draw a picture as it is shown alone; it is not kept."""
        return self._drawn(row, LARGE)

    def make_room(self) -> None:
        """Mark this folder's thumbnails as used, and remove those of the folders used longest ago beyond MOST."""
        if self.cache is None:
            return
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            os.utime(self.cache)
            newest_first = sorted(self.cache.parent.glob(f"{NAME}-*"), key=os.path.getmtime, reverse=True)
            total = 0
            for folder in newest_first:
                total += sum(file.stat().st_size for file in folder.glob("*/*"))
                if total > MOST:
                    shutil.rmtree(folder)
        except OSError:  # a cache that cannot be tidied may still be read
            pass

    def _drawn(self, row: int, side: int) -> bytes:
        return sources.drawn(self.originals, self.names[row], side=side)

    def _key(self, row: int) -> str:
        """Name the thumbnail after what tells whether the file is still the same."""
        about = self.originals.file(self.names[row]).stat()
        told = f"{self.names[row]}\0{about.st_size}\0{about.st_mtime_ns}"
        digest = hashlib.sha256(os.fsencode(told)).hexdigest()
        return f"{digest[:2]}/{digest[2:32]}.webp"  # folders of few files


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(file) as stream:
        stream.write(content)
