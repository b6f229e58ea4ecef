"""Pictures of every format, mode and depth become the same pixels for training and use."""

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from absl import logging
from PIL import Image

from jaxembed import pictures
from jaxembed.core.errors import InputError
from jaxembed.pictures import Preparation, Shape

RANDOM = np.random.default_rng(0)


def file_of(image, name="a.png", **options):
    stream = io.BytesIO()
    image.save(stream, format=Image.registered_extensions()[os.path.splitext(name)[1]], **options)
    return stream.getvalue()


GREY = RANDOM.integers(0, 256, (6, 6), np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 6, 3), np.uint8)
RGBA = np.dstack([COLOUR, np.full((6, 6), 51, np.uint8)])


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown a quarter turn clockwise
    return file_of(Image.fromarray(COLOUR), exif=exif)


def animation():
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return file_of(frames[0], "a.gif", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "channels", "expected"),
    [
        (file_of(Image.fromarray(COLOUR)), 3, COLOUR),
        (file_of(Image.fromarray(COLOUR), "a.bmp"), 3, COLOUR),
        (file_of(Image.fromarray(GREY)), 3, np.repeat(GREY[..., None], 3, axis=2)),
        (file_of(Image.fromarray(COLOUR)), 1, np.asarray(Image.fromarray(COLOUR).convert("L"))[..., None]),
        (file_of(Image.fromarray(GREY.astype(np.uint16) * 257)), 1, GREY[..., None]),
        (file_of(Image.fromarray(GREY > 127)), 1, np.where(GREY > 127, 255, 0)[..., None]),
        (file_of(Image.fromarray(RGBA)), 3, np.rint(0.2 * COLOUR + 0.8 * 255)),
        (file_of(Image.fromarray(GREY).convert("P")), 1, GREY[..., None]),
        (file_of(Image.fromarray(255 - RGBA, "CMYK"), "a.tif"), 3, None),
        (rotated(), 3, np.rot90(COLOUR, -1)),
        (animation(), 1, GREY[..., None]),
    ],
    ids=["png", "bmp", "grey-as-colour", "colour-as-grey", "16", "1", "rgba", "palette", "cmyk", "exif", "gif"],
)
def test_pictures_of_all_kinds(request, tmp_path, content, channels, expected):
    (tmp_path / "a").write_bytes(content)
    pixels = pictures.read(tmp_path / "a", Preparation(Shape(6, 6, channels)))
    assert pixels.dtype == np.uint8
    if expected is None:
        with Image.open(io.BytesIO(content)) as picture:
            expected = np.asarray(picture.convert("RGB"))
    # Only mixing with white rounds.
    np.testing.assert_allclose(pixels, expected, atol=1 if "rgba" in request.node.name else 0)


def test_the_middle_of_a_long_picture_is_kept():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    pixels = pictures.to_pixels(Image.fromarray(wide), Preparation(Shape(10, 10, 3)))
    np.testing.assert_array_equal(pixels, wide[:, 10:20])
    stretched = pictures.to_pixels(Image.fromarray(wide), Preparation(Shape(30, 10, 3), stretched=True))
    np.testing.assert_array_equal(stretched, Image.fromarray(wide).resize((10, 30), Image.Resampling.BICUBIC))
    # Antialiased: the mean of stripes, not some of them.
    stripes = np.tile(np.array([0, 200], np.uint8), (64, 32))
    shrunk = pictures.to_pixels(Image.fromarray(stripes), Preparation(Shape(8, 8, 1)))
    np.testing.assert_allclose(shrunk, 100, atol=5)


def test_floating_point_pixels_are_a_bad_file(tmp_path):
    Image.fromarray(np.ones((6, 6), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(
        InputError, match=r"cannot be read as an image: .*floating-point pixels have no defined range"
    ):
        pictures.read(tmp_path / "a.tif", Preparation(Shape(6, 6, 1)))


@pytest.mark.parametrize(
    ("picture", "shown"),
    [
        (Image.fromarray(np.full((2, 3), 300, np.uint16)), (1, 1, 1)),
        (Image.new("RGBA", (3, 2), (9, 8, 7, 0)), (255, 255, 255)),
        (Image.new("CMYK", (3, 2), (255, 0, 0, 0)), (0, 255, 255)),
    ],
    ids=["16 bits", "transparent", "CMYK"],
)
def test_a_picture_is_displayed_with_the_colours_that_are_learned(tmp_path, picture, shown):
    picture.save(tmp_path / "picture.tiff")
    opened = pictures.open_rgb(tmp_path / "picture.tiff")
    assert opened.getpixel((1, 1)) == shown
    read = pictures.read(tmp_path / "picture.tiff", Preparation(Shape(2, 3, 3)))
    np.testing.assert_array_equal(np.asarray(opened), read)


def test_formats_that_start_a_program_are_not_opened_for_display(tmp_path):
    (tmp_path / "picture.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n%%EOF\n"
    )
    with pytest.raises(Image.UnidentifiedImageError):
        pictures.open_rgb(tmp_path / "picture.png")


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    return lines


# Each mode with a colour, and the colour that is seen.
MODES = {
    "1": (255, (255, 255, 255)),
    "L": (100, (100, 100, 100)),
    "RGB": ((10, 100, 200), (10, 100, 200)),
    "RGBX": ((10, 100, 200, 0), (10, 100, 200)),
    "RGBA": ((10, 100, 200, 51), (206, 224, 244)),
    "RGBa": ((2, 20, 40, 51), (206, 224, 244)),
    "LA": ((100, 51), (224, 224, 224)),
    "La": ((20, 51), (224, 224, 224)),
    "CMYK": ((255, 0, 0, 0), (0, 255, 255)),
    "YCbCr": ((76, 85, 255), (254, 0, 0)),
    "LAB": ((255, 128, 128), (255, 255, 255)),
    "HSV": ((0, 0, 100), (100, 100, 100)),
    "I": (25700, (100, 100, 100)),
    "I;16": (25700, (100, 100, 100)),
    "I;16L": (25700, (100, 100, 100)),
    "I;16B": (25700, (100, 100, 100)),
    "I;16N": (25700, (100, 100, 100)),
}


def of_mode(mode: str) -> tuple[Image.Image, tuple[int, int, int]]:
    if mode in ("P", "PA"):
        picture = Image.new("P", (2, 2), 7)
        picture.putpalette([0] * 21 + [10, 100, 200])
        return picture.convert(mode), (10, 100, 200)
    return Image.new(mode, (2, 2), MODES[mode][0]), MODES[mode][1]


@pytest.mark.parametrize("mode", [*MODES, "P", "PA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_has_the_pixels_that_are_seen(mode, channels):
    picture, seen = of_mode(mode)
    pixels = pictures.to_pixels(picture, Preparation(Shape(2, 2, channels)))
    wanted = seen if channels == 3 else (np.dot(seen, (0.299, 0.587, 0.114)),)
    np.testing.assert_allclose(pixels, np.broadcast_to(wanted, (2, 2, channels)), atol=2)


def test_a_mode_without_a_range_has_a_reason_of_one_line():
    with pytest.raises(ValueError, match=r"^floating-point pixels have no defined range$"):
        pictures.to_pixels(Image.new("F", (2, 2), 0.5), Preparation(Shape(2, 2, 1)))


def test_every_mode_of_this_pillow_is_tested():
    assert set(Image.MODES) - {"F"} <= {*MODES, "P", "PA"}


WHITE_IS_ZERO, LEAST, MOST, SIGNED_LEAST, SIGNED_MOST = 262, 280, 281, 340, 341


@pytest.mark.parametrize(
    ("kind", "values", "tags", "seen"),
    [
        (np.uint16, (0, 2048, 4095), {MOST: 4095}, (0, 127.5, 255)),
        (np.uint16, (100, 600, 1100), {LEAST: 100, MOST: 1100}, (0, 127.5, 255)),
        (np.uint16, (0, 32896, 65535), {MOST: 4095}, (0, 127.5, 255)),  # not so
        (np.uint16, (0, 32896, 65535), {}, (0, 127.5, 255)),
        (np.uint16, (0, 32896, 65535), {WHITE_IS_ZERO: 0}, (255, 127.5, 0)),
        (np.int32, (0, 2048, 4095), {MOST: 4095}, (0, 127.5, 255)),
        (np.int32, (-1000, 0, 1000), {SIGNED_LEAST: -1000, SIGNED_MOST: 1000}, (0, 127.5, 255)),
        (np.float32, (0, 0.5, 1), {SIGNED_LEAST: 0.0, SIGNED_MOST: 1.0}, (0, 127.5, 255)),
        (np.float32, (0, 0.25, 0.5), {SIGNED_MOST: 1.0}, (0, 63.75, 127.5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_the_range_that_a_tiff_states_is_used(kind, values, tags, seen, turned, tmp_path, warnings):
    stored = Image.fromarray(np.array([values], kind))
    stored.save(tmp_path / "a.tif", tiffinfo=tags | ({274: 3} if turned else {}))
    pixels = pictures.read(tmp_path / "a.tif", Preparation(Shape(1, 3, 1)))
    np.testing.assert_allclose(pixels.ravel(), seen[::-1] if turned else seen, atol=0.6)
    with Image.open(tmp_path / "a.tif") as opened:
        np.testing.assert_array_equal(pictures.to_pixels(opened, Preparation(Shape(1, 3, 1))), pixels)
    assert np.asarray(pictures.open_rgb(tmp_path / "a.tif"))[..., :1].tolist() == pixels.tolist()
    assert not warnings


def test_values_of_12_bits_have_their_range(tmp_path):
    tags = {256: (4, 2), 257: (4, 1), 258: (3, 12), 259: (3, 1), WHITE_IS_ZERO: (3, 1), 273: (4, 122), 277: (3, 1)}
    tags |= {278: (4, 1), 279: (4, 3)}  # 0 and 4095 in three bytes
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items())
    start = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    (tmp_path / "a.tif").write_bytes((start + entries).ljust(122, b"\0") + b"\x00\x0f\xff" + bytes(16))
    assert pictures.read(tmp_path / "a.tif", Preparation(Shape(1, 2, 1))).ravel().tolist() == [0, 255]


COLOURS_OF_12_BITS = RANDOM.integers(2048, 4096, (2, 2, 3), np.uint16)


def png_of_16_bits(values: np.ndarray) -> bytes:
    """Write what Pillow does not: a PNG of 16 bits in colour."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [
        (b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("content", "dark"),
    [
        (file_of(Image.fromarray(COLOURS_OF_12_BITS[..., 0]), "a.tif"), "12 of 16 bits"),
        (file_of(Image.fromarray(COLOURS_OF_12_BITS[..., 0])), "12 of 16 bits"),
        (file_of(Image.fromarray(COLOURS_OF_12_BITS[..., 0].astype(np.int32)), "a.tif"), "12 of 16 bits"),
        (file_of(Image.fromarray(COLOURS_OF_12_BITS[..., 0] // 16), "a.tif"), "8 of 16 bits"),
        (png_of_16_bits(COLOURS_OF_12_BITS), "12 of 16 bits"),
        (png_of_16_bits(COLOURS_OF_12_BITS * 16), ""),
        (file_of(Image.fromarray(COLOURS_OF_12_BITS[..., 0] * 16), "a.tif"), ""),
        (file_of(Image.new("I;16", (2, 2)), "a.tif"), ""),
        (file_of(Image.new("L", (2, 2), 1)), ""),
    ],
)
def test_pictures_that_are_nearly_black_for_their_depth_are_reported(content, dark, tmp_path, warnings):
    (tmp_path / "a\nb").write_bytes(content)
    pixels = pictures.read(tmp_path / "a\nb", Preparation(Shape(2, 2, 3)))
    pictures.to_pixels(Image.open(io.BytesIO(content)), Preparation(Shape(2, 2, 3)))
    ((_, converted),) = pictures.stream([tmp_path / "a\nb"], Preparation(Shape(2, 2, 3)))
    assert converted.dark == dark
    np.testing.assert_array_equal(converted.pixels, pixels)
    reported = [f"{name} uses only {dark}: it is nearly black" for name in (rf"{tmp_path}/a\nb", "a picture")]
    assert warnings == (reported if dark else [])


@pytest.mark.parametrize("opened", [True, False], ids=["opened", "loaded"])
def test_a_picture_of_the_caller_stays_as_it_is(opened, tmp_path):
    Image.fromarray(RANDOM.integers(0, 256, (300, 400, 3), np.uint8)).save(tmp_path / "a.jpg")
    preparation = Preparation(Shape(20, 20, 3))
    for source in (tmp_path / "a.jpg", io.BytesIO((tmp_path / "a.jpg").read_bytes())):
        picture = Image.open(source)
        if not opened:
            picture.load()
        pixels = pictures.to_pixels(picture, preparation)
        assert (picture.size, picture.mode, picture.format) == ((400, 300), "RGB", "JPEG")
        with Image.open(tmp_path / "a.jpg") as again:
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(again))
        if opened:  # the same as for its file, which is decoded at a reduced size
            np.testing.assert_array_equal(pixels, pictures.read(tmp_path / "a.jpg", preparation))


def test_pictures_are_decoded_ahead_in_order_and_no_thread_outlives_the_reading(tmp_path, monkeypatch):
    files = [tmp_path / f"{number}.png" for number in range(40)]
    for number, file in enumerate(files):
        Image.new("L", (2, 2), number).save(file)
    read, started = pictures._read, []
    monkeypatch.setattr(pictures, "_read", lambda *given: started.append(given) or read(*given))
    monkeypatch.setattr(pictures, "_AHEAD", 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    asked, before = iter(files), set(threading.enumerate())
    results = pictures.stream(asked, Preparation(Shape(2, 2, 1)))
    taken = [next(results) for _ in range(3)]
    assert [(file, converted.pixels[0, 0, 0]) for file, converted in taken] == list(
        zip(files, range(3), strict=False)
    )
    assert len(list(asked)) == 40 - 3 - 5
    results.close()
    assert len(started) <= 3 + 5
    assert not [each for each in set(threading.enumerate()) - before if each.name.startswith("decode")]


def test_an_upright_picture_is_not_copied_and_a_turned_one_is_turned():
    upright, turned = Image.fromarray(COLOUR), Image.open(io.BytesIO(rotated()))
    assert pictures._upright(upright, None, "RGB") is upright
    np.testing.assert_array_equal(np.asarray(pictures._upright(turned, None, "RGB")), np.rot90(COLOUR, -1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "expected"), [((96, 60), (96, 60)), ((224, 224), (96, 96)), ((100, 300), (32, 96)), ((97, 1), (96, 1))]
)
def test_thumbnails_have_at_most_96_pixels_and_show_the_whole_image(size, expected, channels):
    images = np.zeros((2, 3, *size, channels), np.uint8)
    images[1, 2, size[0] // 2 :] = 240
    small = pictures.thumbnails(images)
    assert small.shape == (2, 3, *expected, channels)
    assert (small is images) == (max(size) <= 96)
    assert not small[0].any()
    halves = small[1, 2, : expected[0] // 4], small[1, 2, -(expected[0] // 4) :]
    assert [half.mean() for half in halves] == [0, 240]
