import http.server
import json
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

import archives
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import download

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": archives.CIFAR_CLASSES,
}


@pytest.fixture(params=download.SOURCES)
def name(request):
    return request.param


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def closed():
    """The address of a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return address


@pytest.fixture
def served(tmp_path):
    """A folder and the address at which its files are served."""
    folder = tmp_path / "served"
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def by_hand(name, data_dir, closed, monkeypatch):
    """The folder into which the archives were put by hand, and what they hold; there is no server."""
    manual = data_dir / "downloads" / "manual" / name
    made = archives.write(name, manual)
    expect(name, manual, closed, monkeypatch)
    return manual, made


def expect(name: str, folder: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have TFDS's builder expect these archives at that server."""
    monkeypatch.setattr(download.SOURCES[name], "url_infos", archives.url_infos(folder, server))


def check(name: str, data_dir: Path, made: dict[str, archives.Arrays]) -> None:
    """Stock TFDS reads the made images with their labels, and load() gives what stock TFDS reads."""
    dataset = datasets.load({"name": name, "validation": 1}, data_dir=str(data_dir), seed=0)
    stock = {split: tfds.data_source(name, split=split, data_dir=data_dir) for split in made}
    for split, (images, labels) in made.items():
        read = sorted(((e["image"], e["label"]) for e in stock[split]), key=lambda pair: pair[0][0, 0, 0])
        np.testing.assert_array_equal([image for image, _ in read], images)
        np.testing.assert_array_equal([label for _, label in read], labels)
    np.testing.assert_array_equal(dataset.test.images, [e["image"] for e in stock["test"]])
    np.testing.assert_array_equal(dataset.test.labels, [e["label"] for e in stock["test"]])
    assert dataset.classes == CLASSES[name]
    assert "tensorflow" not in sys.modules


def refusal(name: str, data_dir: Path) -> str:
    """Return the error of loading, which is one line and leaves nothing that counts as prepared."""
    with pytest.raises(InputError) as caught:
        datasets.load({"name": name, "validation": 1}, data_dir=str(data_dir), seed=0)
    assert "\n" not in str(caught.value)
    assert not list(data_dir.glob(f"{name}/*"))
    return str(caught.value)


def test_downloaded_archives_become_a_folder_that_stock_tfds_reads(name, data_dir, served, monkeypatch):
    made = archives.write(name, served[0])
    expect(name, *served, monkeypatch)
    check(name, data_dir, made)


def test_archives_put_there_by_hand_need_no_server(name, by_hand, data_dir):
    check(name, data_dir, by_hand[1])


def test_the_folder_describes_itself_as_stock_tfds_would(name, by_hand, data_dir, tmp_path):
    stock = tfds.builder(name, data_dir=tmp_path / "stock")
    stock.info.features.save_config(tmp_path)
    folder = download.prepare(name, data_dir)
    assert folder == data_dir / name / str(stock.version)
    assert json.loads((folder / "features.json").read_text()) == json.loads(
        (tmp_path / "features.json").read_text()
    )
    assert json.loads((folder / "dataset_info.json").read_text())["moduleName"] == type(stock).__module__


def test_builders_keep_the_published_checksums_and_the_registry(name):
    assert download.SOURCES[name].url_infos == tfds.builder_cls(name).url_infos
    assert len(download.SOURCES[name].url_infos) == {"cifar10": 1}.get(name, 4)
    assert tfds.builder_cls(name) is not download.SOURCES[name]


def test_an_archive_with_a_wrong_checksum_is_named_and_leaves_nothing_prepared(name, by_hand, data_dir):
    archive = sorted(by_hand[0].iterdir())[-1]
    archive.write_bytes(archive.read_bytes()[:-20])
    assert f"{archive}, has wrong checksum" in refusal(name, data_dir)


@pytest.mark.parametrize("keep", [0, 30, -20])
def test_damaged_archive_is_named_even_with_a_matching_checksum(name, by_hand, data_dir, closed, monkeypatch, keep):
    archive = sorted(by_hand[0].iterdir())[-1]
    archive.write_bytes(archive.read_bytes()[:keep])
    expect(name, by_hand[0], closed, monkeypatch)
    assert f"{archive} is damaged" in refusal(name, data_dir)


def test_archive_missing_on_the_server_is_refused(name, data_dir, served, monkeypatch):
    archives.write(name, served[0])
    expect(name, *served, monkeypatch)
    for file in served[0].iterdir():
        file.unlink()
    assert "HTTP code: 404" in refusal(name, data_dir)


def test_error_without_a_network_names_files_and_folder(name, data_dir, closed, monkeypatch, tmp_path):
    archives.write(name, tmp_path / "archives")
    expect(name, tmp_path / "archives", closed, monkeypatch)
    started = time.perf_counter()
    error = refusal(name, data_dir)
    assert time.perf_counter() - started < 10
    manual = data_dir / "downloads" / "manual" / name
    files = [file.name for file in (tmp_path / "archives").iterdir()]
    folder = data_dir / name / str(tfds.builder_cls(name).VERSION)
    for part in (closed.removeprefix("http://"), str(folder), "--data_dir", "TFDS_DATA_DIR", str(manual), *files):
        assert part in error


def test_unresponsive_network_times_out(data_dir, monkeypatch):
    monkeypatch.setattr(download.requests, "head", lambda url, timeout: threading.Event().wait(20))
    monkeypatch.setattr(download, "_PATIENCE", 0.1)
    assert "storage.googleapis.com: Timeout" in refusal("mnist", data_dir)


def test_a_data_dir_that_cannot_be_written_is_refused(name, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in refusal(name, tmp_path / "file")
    (tmp_path / "marked").mkdir(mode=0o555)
    assert "cannot be written: it is marked read-only" in refusal(name, tmp_path / "marked")
