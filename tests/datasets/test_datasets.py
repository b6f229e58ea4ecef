import json
import os
import subprocess
import sys
from pathlib import Path

import archives
import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import logging
from sklearn.datasets import load_digits

from jaxembed import datasets
from jaxembed.core import files, npz
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import cache, records
from jaxembed.types import Dataset

REAL = Path(os.environ.get("TFDS_DATA_DIR") or "unset").expanduser().resolve()
IMAGE, KIND = tfds.features.Image(shape=(5, 7, 3)), tfds.features.ClassLabel(names=["ash", "beech", "cedar"])
TREES_SECTION = {"name": "trees", "validation": 2}
TREES = {"image": IMAGE, "label": KIND, "supervised": ("picture", "kind"), "splits": ("train", "test")}


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    return tmp_path / "user" / "jaxembed"


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def made(data_dir):
    """What the dataset "trees", of which TFDS has no code, was prepared from."""
    return archives.prepare(data_dir, "trees", **TREES)


@pytest.fixture
def folder(made, data_dir):
    return data_dir / "trees" / "1.2.0"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the datasets that were decoded rather than read from a cache."""
    names = []
    decode = records.decode
    monkeypatch.setattr(records, "decode", lambda name, folder: names.append(name) or decode(name, folder))
    return names


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    return lines


def load(data_dir: Path, name: str = "trees", *, validation: float = 2, seed: int = 0) -> Dataset:
    section = {"name": name, "validation": validation}
    return datasets.load(section, data_dir=str(data_dir), seed=seed)


def refusal(data_dir: Path, name: str = "trees", *, validation: float = 2) -> str:
    """Return the error of loading, which is one line."""
    with pytest.raises(InputError) as caught:
        load(data_dir, name, validation=validation)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def caches(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz*"))


def test_digits_equal_scikit_learns_with_the_tail_held_out(data_dir):
    published = load_digits()
    dataset = load(data_dir, "digits", validation=300)
    assert dataset.name == "digits"
    assert dataset.classes == tuple("0123456789")
    assert [len(split.labels) for split in dataset[2:5]] == [1137, 300, 360]
    assert dataset.test.images.shape == (360, 8, 8, 1)
    assert dataset.test.images.dtype == np.uint8
    assert dataset.test.labels.dtype == np.int32
    np.testing.assert_array_equal(dataset.test.labels, published.target[-360:])
    assert dataset.test.images.max() == 255
    np.testing.assert_allclose(dataset.test.images[..., 0] / 255, published.images[-360:] / 16, atol=0.5 / 255)
    assert not data_dir.exists()


def test_validation_and_train_partition_what_was_published(data_dir):
    whole = [tuple(image.ravel()) for image in load_digits().images[:-360] * 255 / 16]
    dataset = load(data_dir, "digits", validation=400)
    rows = [*dataset.train.images, *dataset.validation.images]
    assert sorted(tuple(image.ravel()) for image in rows) == sorted(tuple(np.rint(image)) for image in whole)
    np.testing.assert_array_equal(
        np.bincount(np.concatenate([dataset.train.labels, dataset.validation.labels])),
        np.bincount(load_digits().target[:-360]),
    )


def test_only_the_seed_picks_the_validation_images(data_dir):
    first, again, other = (load(data_dir, "digits", validation=400, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.validation.images, again.validation.images)
    np.testing.assert_array_equal(first.train.labels, again.train.labels)
    assert (first.validation.images != other.validation.images).any()
    np.testing.assert_array_equal(first.test.images, other.test.images)


@pytest.mark.parametrize(
    ("validation", "error"),
    [
        (-1, "must be >= 0, got -1"),
        (1437, "must be less than the 1437 images there are, got 1437"),
        (0.99999, "must be less than the 1437 images there are, got 0.99999"),
        (2.5, "must be a share below 1 or a whole number, got 2.5"),
    ],
)
def test_a_validation_split_that_leaves_nothing_is_refused(data_dir, validation, error):
    assert f"config.data.validation {error}" in refusal(data_dir, "digits", validation=validation)


def test_a_share_of_the_train_images_can_be_held_out_or_none(data_dir):
    assert len(load(data_dir, "digits", validation=0.1).validation.labels) == 144
    nothing = load(data_dir, "digits", validation=0)
    assert nothing.validation is None
    assert len(nothing.train.labels) == 1437
    assert nothing.measured == ("test",)


def test_dataset_without_code_is_read_by_its_name(data_dir, made, decoded):
    for source in ("decoded", "cached"):
        dataset = load(data_dir)
        assert dataset.classes == ("ash", "beech", "cedar")
        for split, parts in (("train", (dataset.train, dataset.validation)), ("test", (dataset.test,))):
            images, labels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
            order = np.argsort(images[:, 0, 0, 0])
            np.testing.assert_array_equal(images[order], made[split][0], err_msg=source)
            np.testing.assert_array_equal(labels[order], made[split][1], err_msg=source)
            assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    assert decoded == ["trees"]
    assert "tensorflow" not in sys.modules


def test_the_latest_version_and_a_config_are_found(data_dir, folder):
    (data_dir / "forest").mkdir()
    folder.parent.rename(data_dir / "forest" / "small")
    old = data_dir / "forest" / "small" / "1.2.0"
    new = old.with_name("1.10.0")
    new.mkdir()
    for file in old.iterdir():
        (new / file.name).write_bytes(file.read_bytes())
    assert load(data_dir, "forest/small").name == "forest/small"
    assert caches(new)
    assert not caches(old)


def test_the_data_dir_defaults_to_tfdss_variable_and_expands_home(data_dir, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(data_dir.parent))
    assert datasets.load(TREES_SECTION, data_dir="~/data", seed=0).test.labels.size
    monkeypatch.setenv("TFDS_DATA_DIR", "~/data")
    assert datasets.load(TREES_SECTION, data_dir=None, seed=0).test.labels.size
    monkeypatch.delenv("TFDS_DATA_DIR")
    data_dir.rename(data_dir.with_name("tensorflow_datasets"))
    assert datasets.load(TREES_SECTION, data_dir=None, seed=0).test.labels.size


def test_a_cached_dataset_needs_no_tfds(data_dir, folder):
    load(data_dir)
    code = (
        "import sys; from jaxembed import datasets; "
        f"datasets.load({TREES_SECTION}, data_dir={str(data_dir)!r}, seed=0); "
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("changed", ["kind.labels.txt", "dataset_info.json", "records"])
def test_changed_data_is_decoded_again_and_its_old_cache_removed(data_dir, folder, decoded, changed):
    load(data_dir)
    (before,) = caches(folder)
    if changed == "records":
        os.utime(folder / "trees-train.array_record-00000-of-00001", ns=(1, 1))
    elif changed == "dataset_info.json":
        info = json.loads((folder / changed).read_text())
        (folder / changed).write_text(json.dumps(info | {"description": "another"}))
    else:
        (folder / changed).write_text("ash\nbeech\nchestnut\n")
    dataset = load(data_dir)
    (after,) = caches(folder)
    assert after != before
    assert decoded == ["trees", "trees"]
    assert dataset.classes[-1] == ("chestnut" if changed == "kind.labels.txt" else "cedar")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied"])
def test_a_damaged_cache_is_rebuilt_and_reported(data_dir, folder, decoded, warnings, damage):
    whole = load(data_dir)
    (cache,) = caches(folder)
    content = bytearray(cache.read_bytes())
    if damage == "flipped":
        content[content.index(whole.test.images.tobytes()) + 100] ^= 1
    cache.write_bytes(content[: {"flipped": None, "truncated": -50, "emptied": 0}[damage]])
    np.testing.assert_array_equal(load(data_dir).test.images, whole.test.images)
    assert [line for line in warnings if "damaged" in line and str(cache) in line]
    load(data_dir)
    assert decoded == ["trees", "trees"]


def test_data_marked_read_only_are_cached_in_the_users_cache(data_dir, folder, user_cache, decoded, warnings):
    folder.chmod(0o555)
    load(data_dir)
    (cache,) = caches(user_cache)
    assert cache.name.startswith("trees-1.2.0-")
    assert not caches(folder)
    load(data_dir)
    assert decoded == ["trees"]
    assert not warnings


def test_two_data_dirs_keep_their_caches_apart(data_dir, folder, user_cache, decoded, tmp_path):
    subprocess.run(["cp", "-a", data_dir, tmp_path / "other"], check=True)
    for version in (folder, tmp_path / "other" / "trees" / "1.2.0"):
        version.chmod(0o555)
    for _ in range(2):
        load(data_dir)
        load(tmp_path / "other")
    assert len(caches(user_cache)) == len(decoded) == 2


def test_loading_works_without_a_writable_cache(data_dir, folder, user_cache, warnings, decoded):
    folder.chmod(0o555)
    user_cache.parent.touch()
    for _ in range(2):
        assert load(data_dir).test.labels.size
    assert decoded == ["trees", "trees"]
    assert len([line for line in warnings if "cannot write a cache to" in line]) == 2


def test_a_user_without_a_home_directory_has_no_cache(data_dir, folder, warnings, monkeypatch):
    def homeless(path):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    folder.chmod(0o555)
    load(data_dir)
    assert warnings[0].endswith("trees will be decoded again next time")
    with pytest.raises(InputError, match="~x: there is no such home directory"):
        files.expanded("~x")


def test_partial_cache_of_a_killed_process_is_removed(tmp_path):
    (tmp_path / "data-old.npz.0123abcd.partial").touch()
    with files.replacing(tmp_path / "data-other.npz"):
        (held,) = set(tmp_path.iterdir()) - {tmp_path / "data-old.npz.0123abcd.partial"}
        cache.write([tmp_path / "data"], "key", {"images": np.arange(3)}, what="data")
        assert set(tmp_path.iterdir()) == {tmp_path / "data-key.npz", held}


def test_a_cache_appears_whole_or_not_at_all(data_dir, folder, user_cache, monkeypatch):
    def interrupt(archive, *_):
        archive.fp.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(npz, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(data_dir)
    assert not caches(folder)
    assert not caches(user_cache)


@pytest.mark.parametrize("name", ["", ".", "../data/trees", "/", "tree", "trees/1.2.0"])
def test_unknown_name_is_refused_with_the_list_of_names(data_dir, made, name):
    error = refusal(data_dir, name)
    assert (
        "must be one of digits, folder, noisy_labels, mnist, fashion_mnist, cifar10, trees; got " + repr(name)
        in error
    )
    assert ("did you mean 'trees'" in error) == (name in ("tree", "trees/1.2.0"))


def test_unprepared_tfds_dataset_is_refused_with_instructions(data_dir, made):
    error = refusal(data_dir, "cifar100")
    assert f"tfds build cifar100 --file_format=array_record --data_dir={data_dir}" in error
    assert "trees" in error


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"supervised": None}, "supervised keys (Image, ClassLabel); got none"),
        ({"supervised": ("kind", "picture")}, "supervised keys (Image, ClassLabel); got ClassLabel, Image"),
        ({"label": tfds.features.Scalar(np.int64)}, "supervised keys (Image, ClassLabel); got Image, Scalar"),
        (
            {"image": tfds.features.Image(shape=(None, None, 3))},
            "one static shape, got uint8 of shape (None, None, 3)",
        ),
        (
            {"image": tfds.features.Image(shape=(5, 7, 4), dtype=np.uint16)},
            "uint8 images of one static shape, got uint16",
        ),
        ({"image": tfds.features.Image(shape=(5, 7, 4))}, "grey or RGB images, 1 or 3 channels; got 4"),
        ({"splits": ("train", "extra")}, "splits train and test, got train, extra"),
        ({"image": tfds.features.Image(shape=(7, 5, 1))}, "cannot be read"),
    ],
)
def test_datasets_without_one_image_shape_and_labels_are_refused(data_dir, change, text):
    archives.prepare(data_dir, "odd", **(TREES | change))
    assert text in refusal(data_dir, "odd")


def test_a_dataset_with_unlabelled_images_is_refused(data_dir, monkeypatch):
    def unlabelled(n: int, *shape: int, classes: int) -> archives.Arrays:
        return np.zeros((n, *shape), np.uint8), np.full(n, -1)

    monkeypatch.setattr(archives, "images", unlabelled)
    archives.prepare(data_dir, "odd", **TREES)
    assert "the label in record 0 of train must be a whole number in 0..2" in refusal(data_dir, "odd")


def test_other_file_formats_are_refused_with_instructions(data_dir, folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))
    error = refusal(data_dir)
    assert "array_record, got tfrecord" in error
    assert "tfds build trees --file_format=array_record" in error


@pytest.mark.parametrize(
    "damaged", ["dataset_info.json", "features.json", "trees-test.array_record-00000-of-00001"]
)
def test_a_damaged_folder_is_named(data_dir, folder, damaged):
    path = folder / damaged
    path.write_bytes(path.read_bytes()[:20])
    assert f"{folder} cannot be read" in refusal(data_dir)


@pytest.mark.slow  # a pretrained encoder's accuracy reads the same records
@pytest.mark.skipif(not (REAL / "mnist" / "3.0.1").exists(), reason="TFDS_DATA_DIR holds no mnist")
def test_mnist_has_its_published_counts_and_statistics(data_dir):
    folder = data_dir / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for file in (REAL / "mnist" / "3.0.1").iterdir():  # so that the cache is not written beside the real data
        (folder / file.name).symlink_to(file)
    dataset = load(data_dir, "mnist", validation=5000)
    images = np.concatenate([dataset.train.images, dataset.validation.images])
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    # http://yann.lecun.com/exdb/mnist; the mean and deviation are those every normalisation of MNIST uses.
    np.testing.assert_array_equal(np.bincount(labels), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    np.testing.assert_allclose([images.mean() / 255, images.std() / 255], [0.1307, 0.3081], atol=5e-5)
    assert dataset.test.images.shape == (10000, 28, 28, 1)
