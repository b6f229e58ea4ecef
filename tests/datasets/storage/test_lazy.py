import contextlib
import sys
import threading
import time

import archives
import numpy as np
import pytest

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import decode, records
from jaxembed.train import feed
from jaxembed.types import Batch, OnDisk, Published


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "jaxembed"


@pytest.fixture
def folder(tmp_path):
    """Six train images, five rows of seven RGB pixels each, and seven test images."""
    archives.prepare(tmp_path / "data", "trees", **archives.TREES)
    return tmp_path / "data" / "trees" / "1.2.0"


@pytest.fixture
def whole(folder) -> Published:
    return records.decode("trees", folder)


@pytest.fixture
def published(folder) -> Published:
    return records.load("trees", folder, resident=0.0)


@pytest.fixture
def images(published):
    return published.train.images


@pytest.fixture
def many(whole, published):
    """Fifty rows in an order with repeats, and the batch in memory and on disk."""
    return np.random.default_rng(0).integers(0, 6, 50), whole.train, published.train


def damage(folder) -> None:
    """Flip bits in the pixels of one train image."""
    path = folder / "trees-train.array_record-00000-of-00001"
    content = bytearray(path.read_bytes())
    middle = content.index(b"IDAT") + 20
    content[middle] ^= 255
    path.write_bytes(content)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("grain")]


def test_images_on_disk_have_the_arrays_attributes(images, whole):
    array = whole.train.images
    assert isinstance(images, OnDisk)
    assert not isinstance(array, OnDisk)
    assert (images.shape, images.dtype, images.ndim, len(images)) == (array.shape, array.dtype, 4, 6)


@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(1, 5, 2),
        slice(4, None),
        slice(3, 3),
        np.array([5, 0, 0, -2]),
        np.array([[1, 2], [2, 4], [0, 5]]),
        np.array([True, False, False, True, True, False]),
        np.array([], int),
        np.arange(100) % 6,
        3,
    ],
    ids=str,
)
def test_indexing_equals_that_of_an_array(images, whole, rows):
    read = images[rows]
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, whole.train.images[rows])


def test_missing_row_raises_index_error(images):
    with pytest.raises(IndexError):
        images[np.array([0, 6])]


def test_a_subset_counts_its_own_rows_and_reads_nothing(images, whole, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(decode, "decode", lambda *_: pytest.fail("an image was decoded"))
        some = images.subset(np.array([4, 1, 5])).subset(slice(1, None))
    assert some.shape == (2, 5, 7, 3)
    np.testing.assert_array_equal(some[:], whole.train.images[[1, 5]])
    np.testing.assert_array_equal(some[np.array([1])], whole.train.images[[5]])


def test_labels_classes_and_the_test_split_are_in_memory(published, whole):
    assert published.classes == whole.classes
    for read, array in zip(
        (published.train.labels, *published.test), (whole.train.labels, *whole.test), strict=True
    ):
        assert isinstance(read, np.ndarray)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("cached", [False, True])
def test_train_images_stay_on_disk_only_above_the_limit(folder, cached):
    size = 6 * 5 * 7 * 3 / 1e9
    if cached:
        records.load("trees", folder, resident=float("inf"))
    assert isinstance(records.load("trees", folder, resident=size).train.images, np.ndarray)
    assert isinstance(records.load("trees", folder, resident=size * 0.99).train.images, OnDisk)


def test_labels_are_cached_with_the_arrays_and_reread_when_records_change(folder, published, monkeypatch):
    assert isinstance(records.load("trees", folder, resident=1.0).train.images, np.ndarray)
    assert sorted(file.name.split("-")[0] for file in folder.glob("*.npz")) == ["jaxembed", "jaxembed_labels"]
    passes = []
    examples = records._read
    monkeypatch.setattr(records, "_read", lambda source, what: passes.append(what) or examples(source, what=what))
    again = records.load("trees", folder, resident=0.0)
    assert passes == []
    np.testing.assert_array_equal(again.train.labels, published.train.labels)
    (folder / "kind.labels.txt").write_text("ash\nbeech\nchestnut\n")
    assert records.load("trees", folder, resident=0.0).classes[-1] == "chestnut"
    assert passes == ["reading the labels of train", "decoding test"]


def test_unlabelled_images_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "images", lambda n, *shape, classes: (np.zeros((n, *shape), np.uint8), [-1] * n))
    archives.prepare(tmp_path / "data", "odd", **archives.TREES)
    with pytest.raises(InputError, match=r"the label in record 0 of (train|test) must be .* in 0\.\.2.*; got -1"):
        records.load("odd", tmp_path / "data" / "odd" / "1.2.0", resident=0.0)


@pytest.mark.parametrize("validation", [0, 2])
def test_dataset_on_disk_equals_that_in_memory(folder, validation):
    section, data_dir = {"name": "trees", "validation": validation}, str(folder.parents[1])
    memory = datasets.load(section, data_dir=data_dir, seed=4)
    disk = datasets.load(section, data_dir=data_dir, seed=4, resident=0.0)
    assert isinstance(disk.train.images, OnDisk)
    assert disk.held_out == memory.held_out
    for name in disk.held_out:
        assert isinstance(getattr(disk, name).images, np.ndarray)
    for name in ("train", *disk.held_out):
        read, array = getattr(disk, name), getattr(memory, name)
        np.testing.assert_array_equal(read.images[:], array.images)
        np.testing.assert_array_equal(read.labels, array.labels)


def test_limit_does_not_affect_sources_in_memory():
    loaded = datasets.load({"name": "digits", "validation": 100}, data_dir=None, seed=0, resident=0.0)
    assert isinstance(loaded.train.images, np.ndarray)


def test_the_limit_is_no_option_of_the_config(folder):
    section = {"name": "trees", "validation": 2, "resident": 0.0}
    with pytest.raises(InputError, match="no option 'resident'"):
        datasets.load(section, data_dir=str(folder.parents[1]), seed=0)


def test_a_damaged_record_is_named_with_its_folder(folder, images):
    damage(folder)
    with pytest.raises(InputError, match="cannot be read") as caught:
        images[:]
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    with (
        contextlib.closing(feed.read_ahead(images, np.arange(6), np.arange(6), size=6, ahead=1)) as batches,
        pytest.raises(InputError, match="cannot be read"),
    ):
        next(batches)


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("start", [0, 8, 24])
def test_batches_are_the_rows_in_order_from_any_start(many, kind, start):
    rows, memory, disk = many
    given = memory if kind == "memory" else disk
    with contextlib.closing(feed.read_ahead(*given, rows[start:], size=8, ahead=3)) as batches:
        read = list(batches)
    # 50 rows are six batches of eight, and two that fill none.
    assert len(read) == 6 - start // 8
    for i, batch in enumerate(read):
        chosen = rows[start + 8 * i : start + 8 * (i + 1)]
        assert isinstance(batch, Batch)
        np.testing.assert_array_equal(batch.images, memory.images[chosen])
        np.testing.assert_array_equal(batch.labels, memory.labels[chosen])


def test_no_rows_give_no_batches(published):
    for rows in (np.array([], int), np.arange(3)):
        assert list(feed.read_ahead(*published.train, rows, size=4, ahead=2)) == []


class Counted:
    """Images that count how often they were read."""

    def __init__(self, images):
        self.images, self.reads = images, 0
        self.shape, self.dtype, self.ndim = images.shape, images.dtype, 4

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.reads += 1
        return self.images[rows]

    def subset(self, rows):
        raise NotImplementedError


def settled(images: Counted, reads: int) -> int:
    """Wait until there were that many reads, and a moment for one too many."""
    deadline = time.monotonic() + 10
    while images.reads < reads and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    return images.reads


def test_only_a_few_batches_are_read_ahead(whole):
    images = Counted(whole.train.images)
    with contextlib.closing(
        feed.read_ahead(images, whole.train.labels, np.zeros(80, int), size=4, ahead=3)
    ) as batches:
        assert settled(images, 3) == 3
        next(batches)
        assert settled(images, 4) == 4


@pytest.mark.parametrize("taken", [0, 1, 10])
def test_closing_stops_the_threads(many, taken):
    before = readers()
    rows, _, disk = many
    with contextlib.closing(feed.read_ahead(*disk, rows, size=4, ahead=3)) as batches:
        for _ in range(taken):
            next(batches)
        assert len(readers()) > len(before)
    deadline = time.monotonic() + 10
    while readers() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert readers() == before
    assert "tensorflow" not in sys.modules
