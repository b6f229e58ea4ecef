import os
import shutil
import subprocess
import sys

import archives
import numpy as np
import pytest
from PIL import Image

from jaxembed import datasets
from jaxembed.datasets.storage import decode, fingerprint, records
from jaxembed.types import Batch, Dataset, OnDisk, Published


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture
def data_dir(tmp_path):
    archives.prepare(tmp_path / "data", "trees", **archives.TREES)
    return tmp_path / "data"


def published(seed: int = 0) -> Published:
    """Nine train, four validation and five test images of 3×2 pixels in two classes."""
    random = np.random.default_rng(seed)

    def split(n: int) -> Batch:
        return Batch(random.integers(0, 256, (n, 3, 2, 1), np.uint8), random.integers(0, 2, n).astype(np.int32))

    return Published(("oak", "yew"), train=split(9), validation=split(4), test=split(5))


def changed(split: str, part: str) -> Published:
    """Change one number of that dataset."""
    whole = published()
    array = getattr(getattr(whole, split), part)
    array.flat[-1] ^= 1
    return whole


def loaded(data_dir, *, seed: int = 0, **options) -> Dataset:
    return datasets.load({"name": "trees", "validation": 2}, data_dir=str(data_dir), seed=seed, **options)


def photos(root, names) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 20 * number).save(root / name)


def of_folder(root, **options) -> str:
    return datasets.load({"name": "folder", "path": str(root), "size": 4, **options}, data_dir=None, seed=0).sha256


def test_equal_contents_have_equal_fingerprints_of_64_hexadecimal_digits():
    first, again = fingerprint.of(published()), fingerprint.of(published())
    assert first == again
    assert len(bytes.fromhex(first)) == 32


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("part", ["images", "labels"])
def test_one_pixel_or_label_changes_the_fingerprint(split, part):
    assert fingerprint.of(changed(split, part)) != fingerprint.of(published())


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ("oak", "elm")},
        {"classes": ("oaky", "ew")},
        {"validation": None},
        {"test": published().validation, "validation": published().test},
        {"train": published().train._replace(images=published().train.images.reshape(9, 2, 3, 1))},
    ],
    ids=lambda change: ", ".join(change),
)
def test_classes_shapes_and_splits_change_the_fingerprint(change):
    assert fingerprint.of(published()._replace(**change)) != fingerprint.of(published())


def test_names_matter_only_if_they_choose_the_validation_images():
    named = published()._replace(names={"train": tuple("abcdefghi")})
    assert fingerprint.of(named) == fingerprint.of(published())
    chosen, other = (
        named._replace(validation=None),
        named._replace(validation=None, names={"train": tuple("ihgfedcba")}),
    )
    assert fingerprint.of(chosen) != fingerprint.of(other)


def test_fingerprint_does_not_depend_on_seed_validation_location_or_time(data_dir, tmp_path):
    first = loaded(data_dir)
    assert loaded(data_dir, seed=5).sha256 == first.sha256
    section = {"name": "trees", "validation": 0}
    assert datasets.load(section, data_dir=str(data_dir), seed=0).sha256 == first.sha256
    shutil.copytree(data_dir, tmp_path / "other")
    for file in (tmp_path / "other").rglob("*array_record*"):
        os.utime(file, ns=(1, 1))
    assert loaded(tmp_path / "other").sha256 == first.sha256


def test_images_on_disk_have_the_fingerprint_of_memory_and_are_decoded_once(data_dir, monkeypatch):
    memory = loaded(data_dir)
    monkeypatch.setattr(fingerprint, "_AT_ONCE", 4)
    disk = loaded(data_dir, resident=0.0)
    assert isinstance(disk.train.images, OnDisk)
    assert disk.sha256 == memory.sha256
    monkeypatch.setattr(decode, "decode", lambda *_: pytest.fail("an image was decoded"))
    assert records.load("trees", data_dir / "trees" / "1.2.0", resident=0.0).sha256 == memory.sha256


def test_the_fingerprint_is_the_same_in_another_process(data_dir):
    code = (
        "from jaxembed import datasets; "
        f"print(datasets.load({{'name': 'trees', 'validation': 2}}, data_dir={str(data_dir)!r}, seed=1).sha256)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == loaded(data_dir).sha256


def test_a_folder_that_moves_keeps_its_fingerprint_and_a_changed_picture_or_class_changes_it(tmp_path):
    photos(tmp_path / "first", ["a/1.png", "a/2.png", "b/3.png", "b/4.png"])
    first = of_folder(tmp_path / "first", validation=1)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    assert of_folder(tmp_path / "second", validation=2) == first
    assert of_folder(tmp_path / "second", validation=1, test=1) != first
    (tmp_path / "second" / "b").rename(tmp_path / "second" / "c")
    assert of_folder(tmp_path / "second", validation=1) != first
    Image.new("L", (6, 6), 255).save(tmp_path / "first" / "a" / "1.png")
    assert of_folder(tmp_path / "first", validation=1) != first
