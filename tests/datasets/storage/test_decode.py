"""What a record's image may be: whatever becomes uint8 pixels without loss, and nothing else."""

import io

import numpy as np
import pytest
from archives import encode, png16
from PIL import Image

from jaxembed.datasets.storage import decode

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
AS_RGB = np.repeat(GREY[:, :, None], 3, axis=2)
BINARY = np.where(GREY > 100, 255, 0).astype(np.uint8)
OPAQUE = np.full((5, 7, 1), 255, np.uint8)
NEARLY = OPAQUE - (np.arange(35).reshape(5, 7, 1) == 34).astype(np.uint8)


def image(array: np.ndarray, mode: str | None = None) -> Image.Image:
    picture = Image.fromarray(array)
    return picture.convert(mode) if mode else picture


def palette(transparent: int | None = None) -> bytes:
    """Thirty-five colours, one a pixel."""
    picture = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7), "L")
    picture = picture.convert("P")
    picture.putpalette(COLOUR.tobytes())
    return encode(picture, **({} if transparent is None else {"transparency": transparent}))


def with_alpha(array: np.ndarray, alpha: np.ndarray) -> bytes:
    return encode(image(np.concatenate([array.reshape(5, 7, -1), alpha], axis=2)))


def animation() -> bytes:
    return encode(image(GREY), "GIF", save_all=True, append_images=[image(255 - GREY)])


KEPT = {
    "grey": (encode(image(GREY)), GREY[:, :, None]),
    "RGB": (encode(image(COLOUR)), COLOUR),
    "grey in RGB": (encode(image(GREY)), AS_RGB),
    "RGB without colour in grey": (encode(image(AS_RGB)), GREY[:, :, None]),
    "1 bit": (encode(image(BINARY, "1")), BINARY[:, :, None]),
    "1 bit in RGB": (encode(image(BINARY, "1")), np.repeat(BINARY[:, :, None], 3, axis=2)),
    "palette": (palette(), COLOUR),
    "palette with a transparent colour that is not used": (palette(transparent=40), COLOUR),
    "GIF": (encode(image(GREY), "GIF"), GREY[:, :, None]),
    "BMP": (encode(image(COLOUR), "BMP"), COLOUR),
    "opaque RGBA": (with_alpha(COLOUR, OPAQUE), COLOUR),
    "opaque grey": (with_alpha(GREY, OPAQUE), GREY[:, :, None]),
    "16 bits": (png16(GREY[:, :, None].astype(np.uint16) * 257), GREY[:, :, None]),
    "16 bits in RGB": (png16(GREY[:, :, None].astype(np.uint16) * 257), AS_RGB),
    "16-bit RGB": (png16(COLOUR.astype(np.uint16) * 257), COLOUR),
    "opaque 16-bit RGBA": (png16(np.concatenate([COLOUR, OPAQUE], axis=2).astype(np.uint16) * 257), COLOUR),
}
REFUSED = {
    "colours in grey": (encode(image(COLOUR)), 1, "must be grey, got RGB with colours"),
    "one coloured pixel in grey": (
        encode(image(AS_RGB + (np.arange(105).reshape(5, 7, 3) == 104).astype(np.uint8))),
        1,
        "must be grey, got RGB with colours",
    ),
    "palette in grey": (palette(), 1, "must be grey, got P with colours"),
    "transparent RGBA": (with_alpha(COLOUR, NEARLY), 3, "got RGBA with transparent pixels"),
    "transparent grey": (with_alpha(GREY, NEARLY), 1, "got LA with transparent pixels"),
    "transparent colour of a palette": (palette(transparent=3), 3, "got P with transparent pixels"),
    "transparent colour": (
        encode(image(COLOUR), transparency=tuple(COLOUR[4, 6].tolist())),
        3,
        "got RGB with transparent pixels",
    ),
    "16 bits": (png16(GREY[:, :, None].astype(np.uint16) * 256 + 1), 1, "16-bit grey that 8 bits cannot hold"),
    "16-bit RGB": (png16(COLOUR.astype(np.uint16) * 257 - (COLOUR > 0)), 3, "16-bit RGB that 8 bits cannot hold"),
    "16-bit grey with alpha": (png16(np.full((5, 7, 2), 65535, np.uint16)), 1, "16-bit grey with transparency"),
    "CMYK": (encode(Image.new("CMYK", (7, 5)), "JPEG"), 3, "must be RGB, got CMYK"),
    "an animation": (animation(), 1, "a single picture, got 2 frames"),
    "another format": (encode(image(COLOUR), "TIFF"), 3, "must be one of PNG, JPEG, GIF, BMP"),
    "nothing": (b"", 3, "must be one of PNG, JPEG, GIF, BMP, got 0 bytes"),
}


@pytest.mark.parametrize("case", KEPT)
def test_lossless_conversions_are_exact(case):
    encoded, pixels = KEPT[case]
    decoded = decode.decode(encoded, pixels.shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("case", REFUSED)
def test_lossy_conversions_are_refused(case):
    encoded, channels, text = REFUSED[case]
    with pytest.raises(ValueError, match=text):
        decode.decode(encoded, (5, 7, channels))


@pytest.mark.parametrize("shape", [(7, 5, 3), (1, 7, 3), (5, 1, 3), (1, 1, 3)])
def test_an_image_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"must be .*, got 5×7"):
        decode.decode(encode(image(COLOUR)), shape)


def test_jpeg_is_decoded_as_by_pillow():
    encoded = encode(image(COLOUR), "JPEG")
    np.testing.assert_array_equal(decode.decode(encoded, (5, 7, 3)), np.asarray(Image.open(io.BytesIO(encoded))))
