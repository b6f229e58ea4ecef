"""A picture of the map that was clicked: large, with what is known of it, and its nearest neighbours."""

import datetime
import html
from collections.abc import Sequence

import numpy as np

from jaxembed import pictures
from jaxembed.core import files
from jaxembed.embed.index import Approximate, Exact
from jaxembed.embed.sources import Album, Pictures
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import grid
from jaxembed.explore.query import NEIGHBOURS
from jaxembed.kernels import space


class Chosen:
    """Shows a picture by its row."""

    def __init__(
        self, embedded: Vectors, names: Sequence[str], index: Exact | Approximate, originals: Album | None
    ) -> None:
        """Store what is shown; `names` are those to show, and without originals there are no pictures."""
        self.embedded, self.names, self.index, self.originals = embedded, names, index, originals

    def show(self, row: int) -> tuple[str, list[float]]:
        """Describe the picture of a row: (HTML, its position on the map)."""
        label = files.printable(self.embedded.labels[row])
        lines = [f"<b>{html.escape(self.names[row])}</b>", html.escape(label), self._file(row)]
        about = "".join(f"<p>{line}</p>" for line in lines if line)
        picture = f'<img src="picture/{row}" alt="">' if self.originals else ""
        position = np.asarray(self.embedded.positions[row], float).tolist()
        return f'<div class="chosen">{picture}{about}</div>{self._neighbours(row)}', position

    def _file(self, row: int) -> str:
        """Describe the file of a picture, if it has one: its size and date."""
        if not isinstance(self.originals, Pictures):
            return ""
        try:
            file = self.originals.file(self.embedded.names[row])
            with pictures.opened(file) as picture:
                width, height = picture.size
            about = file.stat()
        except Exception:  # moved or damaged since it was embedded
            return "The file cannot be read."
        date = datetime.datetime.fromtimestamp(about.st_mtime).isoformat(sep=" ", timespec="minutes")
        return f"{width} × {height}, {about.st_size / 1000:,.0f} kB, {date}"

    def _neighbours(self, row: int) -> str:
        count = min(NEIGHBOURS + 1, len(self.names))
        found = self.index.search(np.asarray(self.embedded.embeddings[row : row + 1]), count)
        distance = self.embedded.about.distance
        near = [
            (int(other), float(apart))
            for other, apart in zip(found.rows[0], space.shown(found.distances[0], distance=distance), strict=True)
            if other != row
        ][:NEIGHBOURS]
        distances = [f"{apart:.3f} " for _, apart in near]
        text = f"<p>Its nearest neighbours, by {space.SHOWN[distance]}:</p>"
        return text + grid.render(self.names, [other for other, _ in near], distances)
