"""HEIC and AVIF pictures, and TIFFs in colour with 16 bits: read at every door, or named with a reason."""

import io
import struct
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from jaxembed import pictures
from jaxembed.cli import command
from jaxembed.core.errors import InputError
from jaxembed.datasets import folder
from jaxembed.doctor import __main__ as doctor
from jaxembed.doctor import originals
from jaxembed.embed import __main__ as embed
from jaxembed.embed import sources, vectors
from jaxembed.explore import decoding
from jaxembed.pictures import Preparation, Shape, kinds

SHAPE = Preparation(Shape(12, 16, 3))
COLOUR = np.kron(np.random.default_rng(0).integers(0, 256, (3, 4, 3)), np.ones((32, 32, 1))).astype(np.uint8)
TURNED = 6
# Of 255; both are compressed with loss.
NEAR = 12


def heic(pixels, **options) -> bytes:
    kinds.formats()
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "HEIF", quality=95, **options)
    return stream.getvalue()


def turned(kind: str) -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = TURNED
    kinds.formats()
    Image.fromarray(COLOUR).save(stream, kind, exif=exif.tobytes(), quality=95)
    return stream.getvalue()


def deep(bits: int) -> bytes:
    """Make a HEIC of 10 or 12 bits."""
    stream = io.BytesIO()
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    height, width, _ = COLOUR.shape
    values = (COLOUR.astype("<u2") * 257).tobytes()
    pillow_heif.from_bytes(mode="RGB;16", size=(width, height), data=values).save(stream, quality=95)
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    assert pillow_heif.open_heif(stream, convert_hdr_to_8bit=False).info["bit_depth"] == bits
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (heic(COLOUR), COLOUR),
        (heic(COLOUR[..., 0]), np.repeat(COLOUR[..., :1], 3, axis=2)),
        (heic(np.dstack([COLOUR, np.full(COLOUR.shape[:2], 51, np.uint8)])), 0.2 * COLOUR + 0.8 * 255),
        (deep(10), COLOUR),
        (deep(12), COLOUR),
        (turned("HEIF"), np.rot90(COLOUR, -1)),
        (turned("AVIF"), np.rot90(COLOUR, -1)),
    ],
    ids=["heic", "grey", "alpha", "10-bit", "12-bit", "turned", "turned-avif"],
)
def test_pictures_of_telephones_are_seen_and_learned_with_their_colours_upright(content, seen, tmp_path):
    file = tmp_path / "IMG_0001"  # known by its first bytes
    file.write_bytes(content)
    assert kinds.why_not(str(file)) == ""
    shown = np.asarray(pictures.open_rgb(file)).astype(int)
    assert np.abs(shown - seen)[8:-8, 8:-8].mean() < NEAR
    learned = pictures.read(file, SHAPE)
    wanted = pictures.to_pixels(Image.fromarray(np.rint(seen).astype(np.uint8)), SHAPE)
    assert np.abs(learned.astype(int) - wanted).mean() < NEAR


def with_sides(content: bytes, width: int, height: int) -> bytes:
    """Change what a HEIC says of its size."""
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


@pytest.mark.parametrize(
    ("sides", "reason"),
    [((30_000, 30_000), "exceeds limit of 178956970 pixels"), ((16, 16), "exceeds the maximum image size")],
)
def test_a_heic_is_not_decoded_beyond_the_limits_even_if_its_size_is_a_lie(sides, reason, tmp_path):
    (tmp_path / "a.heic").write_bytes(with_sides(heic(np.tile(COLOUR, (11, 9, 1))), *sides))
    with pytest.raises(InputError, match=reason):
        pictures.read(tmp_path / "a.heic", SHAPE)


@pytest.fixture
def without_pillow_heif(monkeypatch):
    """As where the package is not installed."""
    kinds.formats()  # registers it, which is taken back
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    kinds.formats.cache_clear(), kinds.extensions.cache_clear()
    yield
    kinds.formats.cache_clear(), kinds.extensions.cache_clear()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """8 HEICs, 5 other pictures, of which one is a HEIC, and what cannot be read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(8):
        (photos / f"{number}.heic").write_bytes(heic(np.roll(COLOUR, 32 * number, axis=1) // (1 + number % 3)))
    for number in range(4):
        Image.fromarray(255 - np.roll(COLOUR, 32 * number, axis=0)).save(photos / f"{number}.png")
    (photos / "really.jpg").write_bytes(heic(COLOUR[:64, :64]))
    (photos / "damaged.jpg").write_bytes(b"\xff\xd8 no picture")
    (photos / "notes.txt").write_text("2019")
    return photos


def lines_of_all_doors(photos, tmp_path, capsys) -> list[str]:
    """Train on a folder, embed it and examine it; return what all of them say of its files."""
    said = []
    folder.load("folder", None, path=str(photos), size=8)
    said.append(capsys.readouterr().err.splitlines())
    output = tmp_path / "vectors.npz"
    assert command.run("embed", embed.main, ["quickstart", str(photos), f"--output={output}"]) == 0
    said.append(capsys.readouterr().err.splitlines())
    words = ["quickstart", str(photos), f"--output={tmp_path / 'out'}"]
    assert command.run("doctor", doctor.main, words) == 0
    said.append(capsys.readouterr().err.splitlines())
    first, *rest = ([line for line in lines if "are kept in" not in line] for lines in said)
    assert [line for lines in rest for line in lines] == 2 * first
    return first


def test_every_door_says_the_same_of_a_folder(photos, tmp_path, capsys):
    assert lines_of_all_doors(photos, tmp_path, capsys) == [
        f"{photos}: 14 pictures; no classes; not used: notes.txt (not a picture)",
        "skipping damaged.jpg: not an image format Pillow can read",
        f"1 of 14 pictures in {photos} cannot be read",
    ]
    album = sources.of_vectors(vectors.read(tmp_path / "vectors.npz"), images=None, data_dir=None)
    assert Image.open(io.BytesIO(sources.thumbnail(album, "3.heic"))).size == (128, 96)
    found = originals.read(album.file, ["3.heic"])["3.heic"]
    assert (found.width, found.height) == (128, 96)


def test_without_pillow_heif_every_door_says_what_to_install(
    photos, tmp_path, capsys, monkeypatch, without_pillow_heif
):
    assert lines_of_all_doors(photos, tmp_path, capsys) == [
        f"{photos}: 6 pictures; no classes; not used: 8 .heic ({kinds.NEEDS_HEIF}), notes.txt (not a picture)",
        "skipping damaged.jpg: not an image format Pillow can read",
        f"skipping really.jpg: {kinds.NEEDS_HEIF}",
        f"2 of 6 pictures in {photos} cannot be read",
    ]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # which this changes
    with (photos / "0.heic").open("rb") as stream, pytest.raises(InputError, match="HEIC needs pillow-heif"):
        decoding.convert(stream, SHAPE)


def test_a_heic_is_a_query_of_explore_within_its_limits(photos):
    with (photos / "0.heic").open("rb") as stream:
        pixels, small = decoding.decode(stream, SHAPE)
    np.testing.assert_array_equal(pixels, pictures.read(photos / "0.heic", SHAPE))
    assert Image.open(io.BytesIO(small)).size == (128, 96)


def tiff(values, *, order: str, apart: bool, kind: int) -> bytes:
    """Write an uncompressed TIFF [h, w, 3]: its byte order, whether channels are apart, and the kind of values."""
    height, width, channels = values.shape
    stored = values.astype(values.dtype.newbyteorder(order))
    strips = [stored[..., channel].tobytes() for channel in range(channels)] if apart else [stored.tobytes()]
    short, long, start = 3, 4, 8 + 2 + 12 * 11 + 4
    bits, kinds_of = [8 * values.itemsize] * channels, [kind] * channels
    blocks, places = [], []
    for block in [*strips, *(struct.pack(f"{order}{channels}H", *each) for each in (bits, kinds_of))]:
        places.append(start + sum(map(len, blocks)))
        blocks.append(block)
    lists = struct.pack(f"{order}{2 * len(strips)}I", *places[: len(strips)], *map(len, strips))
    at = start + sum(map(len, blocks))
    offsets, counts = (at, at + 4 * len(strips)) if apart else (places[0], len(strips[0]))
    entries = [
        *((256, short, 1, width), (257, short, 1, height), (258, short, channels, places[-2]), (259, short, 1, 1)),
        *((262, short, 1, 2), (273, long, len(strips), offsets), (277, short, 1, channels)),
        *((278, short, 1, height), (279, long, len(strips), counts), (284, short, 1, 2 if apart else 1)),
        (339, short, channels, places[-1]),
    ]
    body = struct.pack(f"{order}H", len(entries))
    for tag, form, count, value in entries:
        inline = form == short and count == 1
        body += struct.pack(f"{order}HHI" + ("HH" if inline else "I"), tag, form, count, value, *([0] * inline))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return b"".join([head, body, struct.pack(f"{order}I", 0), *blocks, lists])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_tiff_in_colour_with_16_bits_is_read_however_its_channels_are_stored(order, apart, tmp_path):
    values = COLOUR.astype(np.uint16) * 257
    (tmp_path / "a.tif").write_bytes(tiff(values, order=order, apart=apart, kind=1))
    np.testing.assert_array_equal(np.asarray(pictures.open_rgb(tmp_path / "a.tif")), COLOUR)
    height, width, _ = COLOUR.shape
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.tif", Preparation(Shape(height, width, 3))), COLOUR)


def test_a_tiff_that_is_not_read_is_called_one(tmp_path):
    values = COLOUR.astype(np.float32) / 255
    (tmp_path / "a.tif").write_bytes(tiff(values, order="<", apart=False, kind=3))
    with pytest.raises(InputError, match="a TIFF that Pillow cannot read, such as one in colour with 32 bits"):
        pictures.read(tmp_path / "a.tif", SHAPE)
