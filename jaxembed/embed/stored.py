"""Stored vectors, as a command asks for them: with or without the encoder that made them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxembed.embed import vectors
from jaxembed.embed.foreign import Columns
from jaxembed.embed.vectors import Vectors

if TYPE_CHECKING:
    from jaxembed.embed.frozen import FrozenEncoder


def read(file: Path, asked: Any, encoder: "FrozenEncoder | None") -> Vectors:
    """Read a file of vectors.

    Args:
      file: the file.
      asked: the command's options: `embeddings`, `names`, `labels` and `distance`.
      encoder: the encoder that new images are embedded by; None without one.

    Returns:
      the vectors, with the distance that they are compared by; without a map that was made by another distance.

    Raises:
      InputError: if the file cannot be used, or its vectors are not the encoder's.
    """
    embedded = vectors.read(file, Columns(asked.embeddings, asked.names, asked.labels))
    if encoder:
        vectors.check_encoder(embedded, encoder, file)
    return compared(embedded, asked.distance or (encoder.distance if encoder else None))


def compared(embedded: Vectors, distance: str | None) -> Vectors:
    """Take the distance that is asked for, if one is; the map that was made by another one is left out."""
    if distance in (None, embedded.about.distance):
        return embedded
    return embedded._replace(about=embedded.about._replace(distance=distance), positions=None)
