"""A query: a new picture or a text, its position on the map and its nearest neighbours."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxembed.core import files
from jaxembed.core.errors import JaxembedError
from jaxembed.embed import projection
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.index import Approximate, Exact, Neighbours
from jaxembed.embed.vectors import Vectors
from jaxembed.explore import decoding, grid
from jaxembed.kernels import space

# Neighbours that are shown.
NEIGHBOURS = 12


class Query:
    """Searches for new pictures and for texts."""

    def __init__(
        self, encoder: Encoder, embedded: Vectors, names: Sequence[str], index: Exact | Approximate
    ) -> None:
        """Store what is searched; `names` are those to show."""
        self.encoder, self.embedded, self.names, self.index = encoder, embedded, names, index

    def search(self, name: str, file: io.BufferedIOBase) -> tuple[str, list[float] | None]:
        """Embed a new picture: (its neighbours or an error as HTML, its map position or None if unreadable)."""
        name = html.escape(files.printable(name))
        try:
            pixels, small = decoding.decode(file, self.encoder.preparation)
            embedding = self.encoder.embed_pixels(pixels[None])
        except (JaxembedError, OSError, ValueError) as error:  # the page was closed, and so was its file
            reason = html.escape(files.printable(str(error)))
            return f"<p><b>{name} cannot be read as an image:</b> {reason}</p>", None
        uri = "data:image/webp;base64," + base64.b64encode(small).decode()
        return self._answer(name, embedding, f'<img src="{uri}" alt="">')

    def search_text(self, text: str) -> tuple[str, list[float] | None]:
        """Embed a text: (its neighbours or an error as HTML, its map position or None if there is none)."""
        name = html.escape(files.printable(text))
        try:
            embedding = self.encoder.embed_text(text)
        except JaxembedError as error:
            reason = html.escape(files.printable(str(error)))
            return f"<p><b>{name} cannot be searched for:</b> {reason}</p>", None
        return self._answer(name, embedding, "")

    def _answer(self, name: str, embedding: Float[np.ndarray, "1 d"], picture: str) -> tuple[str, list[float]]:
        """Find the neighbours of a query whose name and picture are HTML."""
        neighbours = self.index.search(embedding, min(NEIGHBOURS, len(self.names)))
        measure = space.SHOWN[self.embedded.about.distance]
        text = f"<p><b>{name}</b> and its nearest neighbours, by {measure}:</p>"
        head = f'<div class="query">{text}{picture}</div>'
        return head + self._grid(neighbours), self._position(neighbours)

    def _grid(self, neighbours: Neighbours) -> str:
        apart = space.shown(neighbours.distances[0], distance=self.embedded.about.distance).tolist()
        distances = [f"{distance:.3f} " for distance in apart]
        return grid.render(self.names, neighbours.rows[0].tolist(), distances)

    def _position(self, neighbours: Neighbours) -> list[float]:
        return projection.interpolate(np.asarray(self.embedded.positions, float), neighbours)[0].tolist()
