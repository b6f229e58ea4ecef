"""A grid of images with captions, as HTML."""

import html
from collections.abc import Sequence


def render(names: Sequence[str], rows: Sequence[int], captions: Sequence[str] | None = None) -> str:
    """Render images and their captions, which are text, not HTML; a click chooses one, with shift selects it.

    Args:
      names: the name of each image of the map.
      rows: the rows of the images to show.
      captions: a caption for each; their names if there are none.
    """
    captions = captions or [names[row] for row in rows]
    cells = "".join(
        f'<figure title="{html.escape(names[row])}" onclick="press(event, {row})">'
        f'<img src="image/{row}" loading="lazy" alt="">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for row, caption in zip(rows, captions, strict=True)
    )
    return f'<div class="grid">{cells}</div>'
