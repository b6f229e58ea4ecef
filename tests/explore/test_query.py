"""New pictures: whatever is uploaded gets its neighbours or a line that says why not, and holds up nobody else.

With more damaged pictures: `FUZZ=2000 python -m pytest tests/explore/test_query.py`.
"""

import ast
import contextlib
import html
import io
import json
import os
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import Div
from PIL import Image

import jaxembed
from jaxembed import pictures
from jaxembed.embed import frozen, index
from jaxembed.explore import decoding, handlers, page, query
from jaxembed.explore.atlas import Atlas
from jaxembed.explore.query import Query

MORE = int(os.environ.get("FUZZ", "0"))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n%%EOF\n"
UNREADABLE, FOUND = "cannot be read as an image:</b> ", "and its nearest neighbours"
KINDS = {
    "RGB": "PNG JPEG GIF BMP TIFF WEBP PPM TGA PCX JPEG2000 DDS SGI IM MPO AVIF ICNS ICO DIB SPIDER EPS PDF QOI",
    "RGBA": "PNG TIFF WEBP TGA JPEG2000 DDS ICO",
    "P": "PNG GIF TIFF BMP PCX BLP",
    "I;16": "PNG TIFF PPM",
    "F": "TIFF SPIDER IM",
    "CMYK": "JPEG TIFF",
    "1": "PNG TIFF XBM MSP PPM",
    "LAB": "TIFF",
}


@pytest.fixture(scope="module")
def search(encoder, embedded):
    names = [ascii(name) for name in embedded.names]
    query = Query(encoder, embedded, names, index.make(embedded.embeddings, distance="cosine"))

    def search(name: str, content: bytes) -> tuple[str, list[float] | None]:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            return query.search(name, file)

    return search


def until(true) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def written(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def iptc(content: bytes) -> bytes:
    """An IPTC file of 50×50 pixels, whose picture Pillow opens as any format."""

    def field(record: int, number: int, data: bytes) -> bytes:
        return struct.pack(">BBBH", 28, record, number, len(data)) + data

    size = [field(3, each, (50).to_bytes(2)) for each in (20, 30)]
    return b"".join([field(3, 60, b"\1\0"), *size, field(3, 120, b"\5"), field(8, 10, content)])


def icon(width: int, height: int) -> bytes:
    """An icon that says it is 16×16, and holds a larger picture."""
    content = written(Image.new("1", (width, height)), "PNG")
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 1, len(content), 22) + content


def test_no_picture_starts_a_program(search, tmp_path, monkeypatch):
    mark, program = tmp_path / "started", tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    binary = b"\xc5\xd0\xd3\xc6" + struct.pack("<7I", 32, len(EPS), 0, 0, 0, 0, 0) + EPS
    for content in (EPS, binary, iptc(EPS), iptc(iptc(EPS))):
        (tmp_path / "a.png").write_bytes(content)
        text, position = search("a.png", content)
        assert (text.partition(UNREADABLE)[2], position) == ("not an image format Pillow can read</p>", None)
        for read in (pictures.opened, pictures.open_rgb):
            with pytest.raises(Image.UnidentifiedImageError):
                read(tmp_path / "a.png")
    assert not mark.exists()
    with contextlib.suppress(Exception):
        Image.open(io.BytesIO(iptc(EPS))).load()
    assert mark.exists()  # so that it is what a picture starts which is opened in another way


def test_every_place_that_opens_a_picture_names_the_formats():
    for file in Path(jaxembed.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert "formats" in [each.arg for each in node.keywords], f"{file}:{node.lineno}"


@pytest.mark.parametrize("content", [written(Image.new("1", (10_000, 5_001)), "PNG"), icon(10_000, 5_001)])
def test_more_pixels_than_can_be_searched_for_are_refused(content, search):
    text, position = search("a.png", content)
    assert (text.partition(UNREADABLE)[2], position) == ("it has more than 50 million pixels</p>", None)


@pytest.mark.parametrize(
    ("limit", "value", "reason"), [("SECONDS", 0.01, "decoding takes more than 0.01 s"), ("sys", None, "SIGKILL")]
)
def test_decoding_that_does_not_end_or_crashes_is_a_reason(limit, value, reason, search, tmp_path, monkeypatch):
    if limit == "sys":
        program = tmp_path / "python"
        program.write_text("#!/bin/sh\nkill -9 $$\n")
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(program))
    else:
        monkeypatch.setattr(decoding, limit, value)
    text, position = search("a.png", written(Image.new("RGB", (9, 9)), "PNG"))
    assert position is None
    assert reason in text


def test_a_new_picture_gets_a_position_and_its_neighbours(search, photos, embedded):
    text, position = search("<b>.png\n\x1b", (photos / "07.png").read_bytes())
    assert text.startswith(r'<div class="query"><p><b>&lt;b&gt;.png\n\x1b</b> and its nearest neighbours')
    assert '0.000 <span class="end"><bdi>&#x27;07.png&#x27;' in text
    assert "<script>" not in text
    np.testing.assert_allclose(position, embedded.positions[embedded.names.index("07.png")], atol=1e-2)


def test_while_a_picture_is_searched_for_others_are_answered_and_the_next_ones_wait(site, monkeypatch):
    begun, go, order = threading.Event(), threading.Event(), []

    def slow(_: Query, name: str, file: io.BytesIO) -> tuple[str, None]:
        order.append(name)
        begun.set()
        assert go.wait(60)
        return name, None

    def upload(name: str) -> None:
        answers.append(site.ask(f"/search?name={name}", method="POST", body=b"x" * 10**6)[:2])

    monkeypatch.setattr(query.Query, "search", slow)
    monkeypatch.setattr(handlers, "WAITING", 2)
    answers = []
    threads = [threading.Thread(target=upload, args=[name]) for name in ("a", "b")]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    until(lambda: len(site.waiting) == 2)
    for path in ("/", "/image/0", "/image/1"):
        assert site.ask(path)[0] == 200
    assert site.ask("/search?name=c", method="POST")[0] == 503
    assert order == ["a"]
    go.set()
    for thread in threads:
        thread.join(60)
    assert sorted((status, json.loads(content)["text"]) for status, content in answers) == [(200, "a"), (200, "b")]
    assert order == ["a", "b"]


def test_an_upload_that_is_too_large_or_given_up_leaves_nothing(site, monkeypatch, caplog):
    monkeypatch.setattr(handlers, "LARGEST", 1000)
    assert site.ask("/search", method="POST", body=b"x" * 1001)[0] == 400
    assert site.ask("/search")[0] == 405
    head = f"POST /search?token={site.token} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port)) as given_up:
        given_up.sendall(head.encode() + b"x")
        until(lambda: site.waiting)
    until(lambda: not site.waiting)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
    assert site.ask("/search", method="POST", body=b"x" * 900)[0] == 507
    until(lambda: not site.waiting)
    assert not caplog.records


def odd(random: np.random.Generator) -> bytes:
    """Make a picture of some kind and mode, and damage it."""
    mode = str(random.choice(list(KINDS)))
    values = random.integers(0, 256, (*random.integers(1, 40, 2), 4), np.uint8)
    if mode in ("F", "I;16"):
        picture = Image.fromarray(values.view({"F": np.float32, "I;16": np.uint16}[mode])[..., 0])
    else:
        picture = Image.fromarray(values).convert("RGB" if mode == "LAB" else mode)
    picture = Image.frombytes("LAB", picture.size, picture.tobytes()) if mode == "LAB" else picture
    content = bytearray()
    with contextlib.suppress(Exception):  # this Pillow can't write it
        content = bytearray(written(picture, str(random.choice(KINDS[mode].split()))))
    for _ in range(random.integers(0, 4)):
        at = int(random.integers(0, min(len(content), int(random.choice([40, 10**6]))) + 1))
        some = random.bytes(int(random.integers(1, 9)))
        change = random.choice(["cut", "insert", "replace", "replace", "flip", "end", "big"])
        if change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = some
        elif change == "replace":
            content[at : at + len(some)] = some
        elif change == "flip" and content:
            content[at % len(content)] ^= 1 << int(random.integers(8))
        elif change == "end":
            content += content[:at] + some
        else:
            content[at : at + 4] = b"\xff\xff\xff\xff" if random.random() < 0.5 else b"\0\0\xff\xff"
    return bytes(content)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_any_upload_gets_neighbours_or_a_line_that_says_why_not(site, caplog, monkeypatch):
    random = np.random.default_rng(None if MORE else 0)
    if not MORE:  # a process takes half a second to start
        monkeypatch.setattr(decoding, "decode", decoding.convert)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # restored
    names = ["a.png", "", "<script>alert(1)</script>", "\x1b[31m\n\0", "🦊" * 300, "\udcff.jpg", "../../etc/passwd"]
    found = 0
    for number in range(MORE or 120):
        content = odd(random)
        name = quote(names[number % len(names)], errors="surrogateescape")
        status, answer, _ = site.ask(f"/search?name={name}", method="POST", body=content)
        assert status == 200, content[:100]
        answer = json.loads(answer)
        assert (FOUND in answer["text"]) != (UNREADABLE in answer["text"]), answer
        assert (FOUND in answer["text"]) == (answer["position"] is not None)
        assert not any(each in answer["text"] for each in ("<script>", "\x1b", "\n", "Traceback"))
        found += FOUND in answer["text"]
    assert 0 < found < (MORE or 120)
    assert not [record for record in caplog.records if not record.name.startswith("PIL")]
    assert site.ask("/image/0")[0] == 200


def test_without_an_encoder_no_picture_is_received(site_without_encoder, photos):
    picture = (photos / "02.png").read_bytes()
    status, *_ = site_without_encoder.ask("/search?name=x", method="POST", body=picture)
    assert status == 404
    assert site_without_encoder.ask("/image/2")[0] == 200
    status, page, _ = site_without_encoder.ask("/")
    assert status == 200
    assert b"<p>New images cannot be searched for" in page


def test_a_text_gets_its_neighbours_or_a_line_that_says_why_not(encoder, embedded):
    names, searched = list(map(ascii, embedded.names)), index.make(embedded.embeddings, distance="cosine")
    query = Query(encoder, embedded, names, searched)
    text, position = query.search_text("a <b>dog</b>\n")
    assert text.startswith(r'<div class="query"><p><b>a &lt;b&gt;dog&lt;/b&gt;\n</b> and its nearest neighbours')
    nearest = searched.search(encoder.embed_text("a <b>dog</b>"), 12)
    assert text.count("<figure") == 12
    first = html.escape(names[nearest.rows[0, 0]])
    caption = f'{nearest.distances[0, 0] ** 2 / 2:.3f} <span class="end"><bdi>{first}'
    assert caption in text
    assert np.abs(position).max() <= 1
    wordless = Query(frozen.load("quickstart"), embedded, names, searched)
    for each, reason in ((query, "a text must have at least one letter"), (wordless, "quickstart has no words")):
        text, position = each.search_text(" ")
        assert f" cannot be searched for:</b> {reason}" in text
        assert position is None


def test_a_text_is_asked_for_in_the_address(site):
    found, refused = '<div class="query"><p><b>&lt;b&gt;🐶</b> and', "<p><b> cannot be searched"
    for given, begin in (("<b>🐶", found), ("", refused)):
        status, answer, _ = site.ask(f"/search?text={quote(given)}", method="POST")
        assert status == 200
        assert json.loads(answer)["text"].startswith(begin)


@pytest.mark.parametrize("has_words", [True, False])
def test_the_page_has_a_field_for_texts_if_the_encoder_has_words(has_words, embedded):
    document = Document()
    page.Page(embedded, None, Atlas(embedded, None), takes_pictures=True, takes_texts=has_words).add_to(document)
    texts = [each.text for each in document.select({"type": Div})]
    assert any('type="search"' in text for text in texts) == has_words
