"""The decoded pictures of a folder stay on disk, in a cache that is written and read in bounded memory."""

import shutil
import tracemalloc

import numpy as np
import pytest
from absl import logging
from PIL import Image

from jaxembed import datasets, pictures
from jaxembed.core import npz
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import cache, fingerprint, pixels
from jaxembed.types import OnDisk

ROWS = [
    slice(None),
    slice(1, 5, 2),
    slice(3, 3),
    np.array([5, 0, 0, -2]),
    np.array([[1, 2], [2, 4], [0, 5]]),
    np.arange(9) % 2 == 0,
    np.array([], int),
    3,
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxembed"


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures, two of which cannot be read, in a folder."""
    (tmp_path / "photos").mkdir()
    for number in range(12):
        Image.new("RGB", (9, 8), (20 * number, 7, 0)).save(tmp_path / "photos" / f"{number:02d}.png")
    for number in (3, 7):
        (tmp_path / "photos" / f"{number:02d}.png").write_text("no picture")
    return tmp_path / "photos"


def interrupted(*_):
    raise KeyboardInterrupt


def load(path, resident, size=8, **options):
    section = {"name": "folder", "path": str(path), "size": size, "validation": 0, "test": 1} | options
    return datasets.load(section, data_dir=None, seed=0, resident=resident)


def test_folder_on_disk_is_the_one_in_memory(photos):
    memory, disk = load(photos, 1.0, validation=2), load(photos, 0.0, validation=2)
    assert isinstance(disk.train.images, OnDisk)
    assert not isinstance(memory.train.images, OnDisk)
    assert memory.sha256 == disk.sha256
    for split in ("train", "validation", "test"):
        for one, other in zip(getattr(memory, split), getattr(disk, split), strict=True):
            np.testing.assert_array_equal(one, other[:])


def test_images_stay_on_disk_beyond_the_limit_only(photos):
    size = 9 * 8 * 8 * 3 / 1e9
    assert isinstance(load(photos, size).train.images, np.ndarray)
    assert isinstance(load(photos, 0.99 * size).train.images, OnDisk)


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_indexing_equals_that_of_an_array(rows, photos):
    array, images = (load(photos, limit).train.images for limit in (1.0, 0.0))
    assert (images.shape, images.dtype, images.ndim, len(images)) == (array.shape, array.dtype, 4, 9)
    np.testing.assert_array_equal(images[rows], array[rows])
    np.testing.assert_array_equal(images.subset(np.array([4, 1]))[:], array[[4, 1]])


def test_cache_is_written_and_read_without_all_images_in_memory(photos, monkeypatch):
    for module, name, value in (
        (pictures, "_AHEAD", 2),
        (npz, "_BLOCK", 2**16),
        (fingerprint, "_AT_ONCE", 2),
        (pixels, "_AT_ONCE", 2),
    ):
        monkeypatch.setattr(module, name, value)
    for number in range(20, 60):
        shutil.copy(photos / "00.png", photos / f"{number}.png")
    load(photos, 0.0)  # imports
    total = 49 * 300 * 300 * 3
    tracemalloc.start()
    try:
        assert load(photos, 0.0, size=300).train.images[40].shape == (300, 300, 3)
        assert tracemalloc.get_traced_memory()[1] < total / 4
    finally:
        tracemalloc.stop()


def test_killed_decoding_starts_again_and_leaves_nothing(photos, home, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(photos, 0.0)
    assert not list(home.iterdir())
    load(photos, 0.0)
    (file,) = home.glob("*.npz")
    left = home / f"{file.name[: file.name.rindex('-')]}-older.npz.0123abcd.partial"
    left.touch()
    (photos / "11.png").unlink()
    load(photos, 0.0)
    assert not left.exists()
    assert not file.exists()
    assert len(list(home.glob("*.npz"))) == 1


def test_cache_is_named_once_with_its_size_and_place(photos, home, capsys):
    load(photos, 1.0)
    (file,) = home.iterdir()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "kept in" in line]
    assert line == f"{photos}: its decoded pictures, 0.0 MB, are kept in {file}, which may be removed"
    load(photos, 0.0)
    assert "kept in" not in capsys.readouterr().err


def test_full_disk_leaves_the_images_in_memory_or_is_named(photos, home, monkeypatch):
    expected, lines = load(photos, 1.0).train.images, []
    shutil.rmtree(home)
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    np.testing.assert_array_equal(load(photos, 1.0).train.images, expected)
    assert lines == [f"cannot write a cache to {home} (No space left on device); {photos} will be decoded again"]
    with pytest.raises(InputError, match=r"cannot be written to .* \(No space left on device\), and are more than"):
        load(photos, 0.0)
    assert not list(home.iterdir())
