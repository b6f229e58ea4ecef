"""WebP: pictures as text in a page, small and without a separate file."""

import base64
import io

from PIL import Image


def encode(picture: Image.Image, *, quality: int) -> bytes:
    """Write a picture as the content of a WebP file; `quality` is 0 to 100."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return file.getvalue()


def data_uri(picture: Image.Image, *, quality: int) -> str:
    """Write a picture as the URI of a WebP file; `quality` is 0 to 100."""
    return "data:image/webp;base64," + base64.b64encode(encode(picture, quality=quality)).decode()
