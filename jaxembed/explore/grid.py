"""A grid of images with captions, as HTML."""

import html
from collections.abc import Sequence


def render(names: Sequence[str], rows: Sequence[int], distances: Sequence[str] | None = None) -> str:
    """Render images and their names, which are text, not HTML; a click chooses one, with shift selects it.

    Args:
      names: the name of each image of the map.
      rows: the rows of the images to show.
      distances: what is before the name of each, if anything is, with a space at its end.
    """
    distances = distances or [""] * len(rows)
    cells = "".join(
        f'<figure title="{html.escape(names[row])}" onclick="press(event, {row})">'
        f'<img src="image/{row}" loading="lazy" alt="">'
        f"<figcaption>{html.escape(distance)}{_cut(names[row])}</figcaption></figure>"
        for row, distance in zip(rows, distances, strict=True)
    )
    return f'<div class="grid">{cells}</div>'


def _cut(name: str) -> str:
    """Write a name that is cut at its beginning where it is too long: the end of a path is what matters."""
    return f'<span class="end"><bdi>{html.escape(name)}</bdi></span>'
