"""Embed, search and explore: from a folder to embeddings, to the nearest images, to a page."""

import base64
import io
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from jaxembed import datasets, search
from jaxembed.cli import command
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import __main__ as embed
from jaxembed.embed import frozen, index, projection, vectors
from jaxembed.embed.vectors import About
from jaxembed.explore import __main__ as explore

RANDOM = np.random.default_rng(0)
HOSTILE = ("a\nb.png", "<script>alert(1)<script>.png", "quote\"'.png", "🦊.png")


@pytest.fixture(scope="module")
def encoder():
    return frozen.load("quickstart")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of many sizes in two classes, some with names that must be escaped, one that cannot be read."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    for number in range(20):
        file = folder / ("cat", "dog")[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        size = tuple(RANDOM.integers(8, 40, 2).tolist())
        Image.fromarray(RANDOM.integers(0, 256, (4, 4, 3), np.uint8)).resize(size).save(file)
    for name in HOSTILE:
        Image.fromarray(RANDOM.integers(0, 256, (9, 9), np.uint8)).save(folder / "cat" / name)
    (folder / "dog" / "bad.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def outputs(photos, tmp_path_factory):
    """The file of their embeddings, in each format."""
    folder = tmp_path_factory.mktemp("vectors")
    files = {suffix: folder / f"x{suffix}" for suffix in vectors.SUFFIXES}
    for file in files.values():
        embed.main(["quickstart", str(photos), "--output", str(file)])
    return files


@pytest.mark.parametrize("suffix", vectors.SUFFIXES)
def test_folder_is_embedded_with_names_and_labels(suffix, outputs, photos, encoder):
    read = vectors.read(outputs[suffix])
    names = sorted(f.relative_to(photos).as_posix() for f in photos.rglob("*.png") if f.name != "bad.png")
    assert list(read.names) == names
    assert list(read.labels) == [name.split("/")[0] for name in names]
    expected = encoder.embed([photos / name for name in names])
    np.testing.assert_allclose(read.embeddings, expected, atol=1e-6)
    assert read.about == About(str(photos), "quickstart", encoder.saved.sha256, "cosine")


def test_npz_is_readable_by_numpy_and_parquet_has_map_and_neighbours(outputs):
    from pyarrow import parquet

    with np.load(outputs[".npz"]) as arrays:
        embeddings, names = arrays["embeddings"], arrays["names"]
    # Tools that show embeddings want a column of vectors, not of lists.
    assert parquet.read_schema(outputs[".parquet"]).field("embedding").type.list_size == 16
    table = parquet.read_table(outputs[".parquet"]).to_pydict()
    assert set(table) == {"name", "path", "label", "embedding", "x", "y", "neighbors"}
    assert table["name"] == names.tolist()
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    apart = np.linalg.norm(directions[:, None] - directions[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    for row, neighbours in enumerate(table["neighbors"]):
        assert set(neighbours) == {"ids", "distances"}
        np.testing.assert_allclose(neighbours["distances"], np.sort(apart[row])[:10], atol=1e-5)
        np.testing.assert_allclose(apart[row][neighbours["ids"]], neighbours["distances"], atol=1e-5)
    assert np.abs([table["x"], table["y"]]).max() <= 1 + 1e-6


def test_a_dataset_is_embedded_by_its_name(tmp_path, encoder, capsys):
    embed.main(["quickstart", "digits", "--output", str(tmp_path / "x.npz")])
    assert "1,797 images, 16 dimensions, " in capsys.readouterr().out
    read = vectors.read(tmp_path / "x.npz")
    dataset = datasets.load({"name": "digits", "validation": 0}, data_dir=None, seed=0)
    assert (read.names[1436], read.names[1437], read.labels[1437]) == (
        "train/1436", "test/0", dataset.classes[dataset.test.labels[0]],
    )  # fmt: skip
    np.testing.assert_allclose(read.embeddings[1437:], encoder.embed(dataset.test.images), atol=1e-6)


def test_search_finds_the_picture_itself_first_and_saves_a_contact_sheet(outputs, photos, tmp_path, capsys):
    image, output = photos / "cat" / "02.png", tmp_path / "found.png"
    for suffix in vectors.SUFFIXES:
        arguments = ["quickstart", str(outputs[suffix]), str(image), str(image), "--count=3", f"--output={output}"]
        search.main([*arguments, "--overwrite"])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{image}, nearest first by distance on the unit sphere, sqrt(2 - 2 cos):"
        assert lines[1] == lines[5] == "  0.0000  cat/02.png  [cat]"
        assert len(lines) == 9
        assert lines[-1] == f"Contact sheet: {output} (queries in the first column)"
    with Image.open(output) as sheet:
        assert sheet.size == (4 * 170 + 10, 2 * 170)


def test_names_are_escaped_to_one_line(outputs, photos, capsys, tmp_path):
    for name in HOSTILE:
        output = f"--output={tmp_path / 'a.png'}"
        search.main(
            ["quickstart", str(outputs[".npz"]), str(photos / "cat" / name), output, "--overwrite", "--count=1"]
        )
        line = capsys.readouterr().out.splitlines()[1]
        assert line == f"  0.0000  cat/{name}  [cat]".replace("\n", r"\n")


def test_bad_input_ends_in_one_line_and_status_2(outputs, photos, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    vector, image = str(outputs[".npz"]), str(photos / "cat" / "02.png")
    other = vectors.read(outputs[".npz"])
    wide = other._replace(embeddings=np.zeros((len(other.names), 3), np.float32))
    vectors.write_npz(wide, tmp_path / "wide.npz")
    vectors.write_npz(other._replace(about=other.about._replace(sha256="else")), tmp_path / "else.npz")
    (tmp_path / "cut.npz").write_bytes(outputs[".npz"].read_bytes()[:-30])
    new = str(tmp_path / "new.npz")
    wrong_dimension = "has 3-dimensional embeddings, but quickstart produces 16; run jaxembed.embed again with"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = f"cannot listen on --port {port}: address already in use; use --port=0 for a free port"
        cases = [
            (embed, ["quickstart", str(tmp_path / "nowhere"), "--output", new], "nowhere does not exist; expected"),
            (embed, ["quickstart", image, "--output", new], "02.png is a file; expected a folder of pictures or a"),
            (embed, ["quickstart", "folder", "--output", new], "failed: 'folder' is not a dataset name here; pass"),
            (embed, ["quickstart", "digit", "--output", new], "digit is not a folder, and loading it as"),
            (embed, ["quickstart", str(tmp_path / "empty"), "--output", new], "source: no images in "),
            (embed, ["quickstarts", "digits", "--output", new], "quickstarts (did you mean 'quickstart'?); "),
            (embed, ["quickstart", "digits", "--output", vector], "exists; use --overwrite to replace it"),
            (embed, ["quickstart", "digits", "--output", "x.csv"], "--output x.csv must end in .npz or .parquet"),
            (embed, ["quickstart", "digits", "--output", str(tmp_path / "no/x.npz")], "no does not exist"),
            (search, ["quickstart", str(tmp_path / "wide.npz"), image], wrong_dimension),
            (search, ["quickstart", str(tmp_path / "else.npz"), image], "was written with a different encoder"),
            (search, ["quickstart", str(tmp_path / "cut.npz"), image], "is damaged"),
            (search, ["quickstart", vector, str(tmp_path / "text.png")], "text.png cannot be read as an image"),
            (explore, ["quickstart", vector, f"--port={port}"], busy),
            (explore, ["quickstart", vector, "--port=70000"], "--port must be from 0 to 65535, got 70000"),
        ]  # fmt: skip
        for module, arguments, error in cases:
            assert command.run("x", module.main, arguments) == 2, arguments
            (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
            assert line.startswith("x: ")
            assert error in line
    assert not (tmp_path / "new.npz").exists()


def test_closed_pipe_ends_a_command_silently():
    code = (
        "import sys; from jaxembed.cli import command; sys.exit(command.run('x', lambda _: print('y\\n' * 10**6)))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


def test_interrupted_output_leaves_no_file(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_CHUNK", 4)
    monkeypatch.setattr(np.lib.format, "write_array", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embed.main(["quickstart", str(photos), "--output", str(tmp_path / "x.npz")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_exact_search_equals_scikit_learns_for_any_block_size(distance, monkeypatch):
    from sklearn.neighbors import NearestNeighbors

    monkeypatch.setattr(index, "_BLOCK", 37)
    monkeypatch.setattr(index, "_QUERIES", 5)
    points, queries = (RANDOM.normal(size=(n, 6)).astype(np.float32) for n in (200, 12))
    neighbours = index.Exact(points, distance=distance).search(queries, 9)
    space = (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)) if distance == "cosine" else (lambda x: x)
    distances, rows = NearestNeighbors(n_neighbors=9).fit(space(points)).kneighbors(space(queries))
    np.testing.assert_array_equal(neighbours.rows, rows)
    np.testing.assert_allclose(neighbours.distances, distances, atol=1e-5)


def test_among_equal_rows_each_has_k_other_neighbours():
    points = np.ones((30, 4), np.float32)
    neighbours = index.neighbours_of_all(index.Exact(points, distance="euclidean"), 5)
    assert neighbours.rows.shape == (30, 5)
    assert not (neighbours.rows == np.arange(30)[:, None]).any()


def test_many_rows_are_searched_by_an_index_that_is_saved(monkeypatch, tmp_path):
    pytest.importorskip("usearch")
    monkeypatch.setattr(index, "MAX_EXACT_ROWS", 100)
    points = RANDOM.normal(size=(500, 8)).astype(np.float32)
    indexes = [index.make(points, distance="cosine", file=tmp_path / "x.usearch") for _ in range(2)]
    assert all(isinstance(each, index.Approximate) for each in indexes)
    exact = index.Exact(points, distance="cosine").search(points[:20], 5)
    for each in indexes:
        assert each.recall(5) > 0.9
        assert np.mean(each.search(points[:20], 5).rows == exact.rows) > 0.9


def test_a_map_keeps_neighbourhoods_and_a_new_point_is_interpolated(monkeypatch):
    monkeypatch.setattr(projection, "LANDMARKS", 60)
    centres = 20 * np.eye(3, 8)
    kind = np.arange(150) % 3
    points = (centres[kind] + RANDOM.normal(size=(150, 8))).astype(np.float32)
    positions = projection.project(points, distance="euclidean")
    means = np.stack([positions[kind == each].mean(axis=0) for each in range(3)])
    nearest = np.linalg.norm(positions[:, None] - means[None], axis=2).argmin(axis=1)
    assert (nearest == kind).mean() > 0.95
    neighbours = index.Exact(points, distance="euclidean").search(points[:7], 4)
    np.testing.assert_allclose(projection.interpolate(positions, neighbours), positions[:7], atol=1e-3)


@pytest.fixture
def page(photos, encoder, outputs):
    """A server of the page in a thread: its address."""
    from tornado.ioloop import IOLoop

    from jaxembed.explore import server

    embedded, originals = explore._load_source(encoder, str(outputs[".npz"]), None)
    started, addresses = threading.Event(), []

    def serve():
        IOLoop(make_current=True)
        sockets = server.listen(0)
        running = server.make(encoder, embedded, originals, sockets)
        addresses.extend([f"http://127.0.0.1:{sockets[0].getsockname()[1]}", running])
        started.set()
        running.io_loop.start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(30)
    address, running = addresses
    yield address
    running.io_loop.add_callback(running.io_loop.stop)
    thread.join(10)


def get(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_server_gives_only_pictures_by_row(page):
    status, content = get(f"{page}/image/0")
    assert (status, Image.open(io.BytesIO(content)).format) == (200, "WEBP")
    for path in ("image/24", "image/-1", "image/..%2f..%2fetc%2fpasswd", "image/cat/02.png", "photos/cat/02.png"):
        assert get(f"{page}/{path}")[0] == 404
    assert get(f"{page}/image/0", Host="elsewhere.com")[0] == 403
    status, content = get(page)
    assert status == 200
    assert b"<script>alert" not in content


def test_names_outside_the_folder_are_refused(photos, encoder, outputs):
    _, originals = explore._load_source(encoder, str(outputs[".npz"]), None)
    for name in ("../secret.png", "/etc/passwd", "cat/../../secret.png"):
        with pytest.raises(InputError, match="is not inside"):
            originals.picture(name)


def test_a_new_picture_gets_a_position_and_its_neighbours(photos, encoder, outputs):
    from jaxembed.explore.page import Page

    embedded, _ = explore._load_source(encoder, str(outputs[".npz"]), None)
    built = Page(encoder, embedded, index.make(embedded.embeddings, distance="cosine"))
    row = list(embedded.names).index("cat/02.png")
    content = base64.b64encode((photos / "cat/02.png").read_bytes()).decode()
    text, position = built._search("<b>.png", content)
    assert "&lt;b&gt;.png" in text
    assert "0.000 cat/02.png" in text
    np.testing.assert_allclose(position, embedded.positions[row], atol=1e-2)
    everything = built._grid([*range(24)]) + built._selection([*range(24)])
    assert "&lt;script&gt;" in everything
    assert not any(raw in everything for raw in ("<script>", 'quote"', "a\nb"))
    text, position = built._search("x", "bm8=")
    assert "cannot be read as an image" in text
    assert position is None


DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0))
const transfer = new DataTransfer()
transfer.items.add(new File([bytes], "<b>new.png", {type: "image/png"}))
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}))
"""
INSIDE = """
function* inside(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element
    if (element.shadowRoot) yield* inside(element.shadowRoot)
  }
}
const elements = [...inside(document)]
"""
TEXT = INSIDE + """
const texts = elements.filter((element) => element.matches("p, figcaption")).map((element) => element.textContent)
const shown = elements.filter((element) => element.matches(".grid img") && element.naturalWidth).length
const save = elements.find((element) => element.matches("button.bk-btn"))
return [texts, shown, save && !save.disabled]
"""  # fmt: skip
SAVE = INSIDE + """
const {createObjectURL} = URL
URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text })
  return createObjectURL(blob) }
elements.find((element) => element.matches("button.bk-btn")).click()
"""  # fmt: skip
QUERY = """
const {data} = Bokeh.documents[0].get_model_by_name("map").renderers[1].data_source
return [[...data.x], [...data.y]]
"""
LASSO = "Bokeh.documents[0].get_model_by_name('map').renderers[0].data_source.selected.indices = [0, 3, 5]"


def test_in_a_browser_a_dropped_picture_is_found_and_a_selection_is_listed(page, browser, photos, outputs):
    from selenium.webdriver.support.ui import WebDriverWait

    def until(true):
        return WebDriverWait(browser, 20, 0.1).until(lambda _: true(browser.execute_script(TEXT)))

    browser.get(page)
    until(lambda state: any("24 images in the embedding of quickstart" in text for text in state[0]))
    browser.execute_script(DROP, base64.b64encode((photos / "cat/02.png").read_bytes()).decode())
    texts, *_ = until(lambda state: state[1] == 12 and state)
    assert any(text.startswith("<b>new.png and its nearest neighbours") for text in texts)
    assert "0.000 cat/02.png" in texts
    browser.execute_script(LASSO)
    texts, _, can_save = until(lambda state: state[1] == 15 and state)
    assert "3 selected" in texts
    assert can_save
    embedded = explore._load_source(frozen.load("quickstart"), str(outputs[".npz"]), None)[0]
    position = browser.execute_script(QUERY)
    np.testing.assert_allclose(
        np.ravel(position), embedded.positions[list(embedded.names).index("cat/02.png")], atol=1e-2
    )
    browser.execute_script(SAVE)
    saved = WebDriverWait(browser, 20, 0.1).until(lambda _: browser.execute_script("return window.saved"))
    assert saved.splitlines() == [files.printable(embedded.names[row]) for row in (0, 3, 5)]
    assert {vectors.read(outputs[".npz"]).names[3]} <= set(texts)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
