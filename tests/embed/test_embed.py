"""Embed, search and explore: from a folder to embeddings, to the nearest images, to a page."""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from jaxembed import datasets, search
from jaxembed.cli import command
from jaxembed.core.errors import Diverged, InputError
from jaxembed.embed import __main__ as embed
from jaxembed.embed import fill, frozen, index, projection, sources, vectors
from jaxembed.embed.vectors import About, Spool
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


@pytest.mark.parametrize("error", [Diverged, KeyboardInterrupt])
def test_no_thread_outlives_embedding_that_fails(error, photos, encoder, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(encoder, "embed_pixels", fail)
    monkeypatch.setattr(sources, "CHUNK", 4)
    before = set(threading.enumerate())
    with pytest.raises(error), Spool(tmp_path, encoder.dimension) as spool:
        fill.fill(spool, encoder, sources.open_source(str(photos)))
    assert not [each for each in set(threading.enumerate()) - before if each.name.startswith("decode")]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (256, [256]), (257, [128, 129]), (600, [200] * 3)])
def test_chunks_of_a_folder_have_equal_sizes(count, sizes):
    assert sources._shares(count) == sizes


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
        assert lines[0] == f"{image}, nearest first by cosine distance, 1 - cos:"
        assert lines[1] == lines[5] == "  0.0000  cat/02.png  [cat]"
        assert lines[8].startswith(f"Pictures: {photos}, as the file says")
        assert len(lines) == 10
        assert lines[-1] == f"Contact sheet: {output} (queries in the first column)"
    with Image.open(output) as sheet:
        assert sheet.size == (4 * 170 + 10, 2 * 170)


def test_search_prints_json_and_takes_a_folder_of_queries(outputs, photos, tmp_path, capsys):
    arguments = ["quickstart", str(outputs[".npz"]), str(photos / "cat"), "--count=2", "--json"]
    search.main([*arguments, f"--output={tmp_path / 'found.png'}"])
    out, error = capsys.readouterr()
    found = json.loads(out)
    names = sorted(file for file in (photos / "cat").iterdir() if file.suffix == ".png")
    assert [each["query"] for each in found] == list(map(str, names))
    for each, file in zip(found, names, strict=True):
        assert each["images"][0] == {
            "name": f"cat/{file.name}",
            "distance": pytest.approx(0, abs=1e-6),
            "label": "cat",
        }
        assert each["measure"] == "cosine distance, 1 - cos"
    assert "Contact sheet: " in error
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"query: no images in .*empty"):
        search.main(["quickstart", str(outputs[".npz"]), str(tmp_path / "empty")])


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
            (explore, [vector, "--port=0", f"--tags={tmp_path / 'text.png'}"], "does not hold tags: the first line"),
            (explore, [vector, "--port=0", f"--tags={tmp_path / 'no/x.csv'}"], "no does not exist"),
            (explore, [vector, "--port=0", f"--copies={vector}"], f"--copies {vector} cannot be written: "),
            (explore, ["quickstart", "digits", "--port=0", f"--copies={new}"], "needs pictures in a folder"),
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


def test_saved_index_is_used_only_if_it_is_whole_and_of_these_vectors(monkeypatch, tmp_path):
    pytest.importorskip("usearch")
    monkeypatch.setattr(index, "MAX_EXACT_ROWS", 10)
    file, (points, others) = tmp_path / "x.usearch", RANDOM.normal(size=(2, 60, 8)).astype(np.float32)
    index.make(others, distance="cosine", file=file)
    stale = file.read_bytes()
    index.make(points, distance="cosine", file=file)
    whole = file.read_bytes()
    assert whole != stale
    damages = [stale, b"", whole[:-1], whole[len(whole) // 2 :], whole.split(b"\n", 1)[1], bytes(2000)]
    for at in RANDOM.integers(0, len(whole), int(os.environ.get("FUZZ", "12"))):
        damages.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for content in damages:
        file.write_bytes(content)
        found = index.make(points, distance="cosine", file=file).search(points, 1)
        # Threads build the graph, and it is approximate; of other vectors it would find hardly any row.
        assert np.mean(found.rows[:, 0] == np.arange(60)) > 0.8
        assert file.read_bytes()[:80] == whole[:80]  # the hash of the vectors


def test_index_of_many_rows_is_asked_for_before_they_are_embedded(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(index, "MAX_EXACT_ROWS", 10)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(frozen.FrozenEncoder, "embed_pixels", lambda *_: pytest.fail("embedded"))
    output = f"--output={tmp_path / 'x.parquet'}"
    assert command.run("embed", embed.main, ["quickstart", str(photos), output]) == 2
    assert "needs usearch" in capsys.readouterr().err
    assert command.run("explore", explore.main, ["quickstart", str(photos), "--port=0"]) == 2
    assert "needs usearch" in capsys.readouterr().err


def test_moved_pictures_are_named_and_the_others_are_in_the_sheet(outputs, photos, tmp_path, capsys):
    moved = shutil.copytree(photos, tmp_path / "moved")
    (moved / "cat" / "02.png").unlink()
    query, output = str(photos / "cat" / "02.png"), tmp_path / "found.png"
    arguments = ["quickstart", str(outputs[".npz"]), query, "--count=3", f"--output={output}", f"--images={moved}"]
    search.main(arguments)
    shown = capsys.readouterr()
    assert "Pictures:" not in shown.out  # the user named them
    assert shown.err.startswith("search: cannot be opened: cat/02.png (")
    with Image.open(output) as sheet:
        assert sheet.getpixel((250, 80)) == (238, 238, 238)
        assert sheet.getpixel((420, 80)) != (238, 238, 238)


@pytest.mark.parametrize(
    ("name", "count", "problem"),
    [
        ("s.psd", 2, "must have the extension of an image format that can be written"),
        ("s.txt", 2, "must have the extension of an image format that can be written"),
        ("s.webp", 100, "cannot be a contact sheet of 17180×170 pixels"),
        ("s.xbm", 2, "cannot be a contact sheet of 1×1 pixels"),
    ],
)
def test_sheet_that_cannot_be_written_is_refused_first(name, count, problem, tmp_path, photos, monkeypatch, capsys):
    saved = frozen.saved("quickstart")
    about = About(str(photos), "quickstart", saved.sha256, "cosine")
    names = [f"{row}.png" for row in range(100)]
    vectors.write_npz(vectors.Vectors(RANDOM.normal(size=(100, 16)), names, [""] * 100, about), tmp_path / "v.npz")
    monkeypatch.setattr(frozen.FrozenEncoder, "embed", lambda *_: pytest.fail("embedded"))
    arguments = ["quickstart", str(tmp_path / "v.npz"), "q.png", f"--count={count}", f"--output={tmp_path / name}"]
    assert command.run("search", search.main, arguments) == 2
    assert problem in capsys.readouterr().err


def test_one_picture_has_a_map_and_no_neighbours(photos, tmp_path):
    (tmp_path / "one").mkdir()
    shutil.copy(photos / "cat" / "02.png", tmp_path / "one")
    embed.main(["quickstart", str(tmp_path / "one"), f"--output={tmp_path / 'x.parquet'}"])
    assert vectors.read(tmp_path / "x.parquet").positions.tolist() == [[0, 0]]


def test_vectors_without_their_pictures_have_a_map(outputs, encoder, tmp_path, capsys):
    written = vectors.read(outputs[".npz"])
    gone = written._replace(about=written.about._replace(source=str(tmp_path / "gone")))
    vectors.write_npz(gone, tmp_path / "v.npz")
    _, album = explore._load_source(encoder, asked(tmp_path / "v.npz"))
    assert album is None
    assert "the map has no pictures: the folder of the pictures" in capsys.readouterr().err
    with pytest.raises(InputError, match="use --images=FOLDER"):
        explore._load_source(encoder, asked(tmp_path / "v.npz", images=str(tmp_path / "gone")))


def asked(source, images=None) -> argparse.Namespace:
    """The options of explore."""
    columns = dict(embeddings="", names="", labels="")
    given = dict(source=str(source), images=images, distance=None, data_dir=None, copies=None)
    return argparse.Namespace(**given, **columns)


@pytest.mark.parametrize(
    "name", ["test/-1", "test/360", "test/x", "tests/0", "test", "test/²", "validation/0", "test/1/2"]
)
def test_image_that_a_dataset_does_not_have_is_named(name):
    with pytest.raises(InputError, match="digits has no image"):
        sources.Named("digits", None).picture(name)


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


def test_names_outside_the_folder_are_refused(photos, encoder, outputs):
    _, originals = explore._load_source(encoder, asked(outputs[".npz"]))
    for name in ("../secret.png", "/etc/passwd", "cat/../../secret.png"):
        with pytest.raises(InputError, match="is not inside"):
            originals.picture(name)
