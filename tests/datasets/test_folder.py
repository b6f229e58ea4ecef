"""A folder of pictures becomes a dataset, and training, evaluation and figures do without labels."""

import os
import shutil

import numpy as np
import pytest
from absl import logging
from PIL import Image

from jaxembed import datasets, pictures
from jaxembed.core.errors import InputError
from jaxembed.embed import sources
from jaxembed.pictures import Preparation, Shape


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures in two classes, named so that their order is not that of the classes."""
    for number in range(12):
        file = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 20 * number, np.uint8)).save(file)
    return tmp_path / "photos"


def load(path, *, seed=0, **options):
    section = {"name": "folder", "path": str(path), "size": 8, "validation": 3} | options
    return datasets.load(section, data_dir=None, seed=seed)


def brightness(split):
    return split.images[:, 0, 0, 0].tolist()


def test_sub_folders_are_classes(photos):
    dataset = load(photos, validation=0)
    assert (dataset.name, dataset.classes) == ("photos", ("cat", "dog"))
    assert brightness(dataset.train) == [0, 200, 40, 80, 120, 160, 20, 220, 60, 100, 140, 180]
    assert dataset.train.labels.tolist() == [0] * 6 + [1] * 6
    assert (dataset.validation, dataset.test) == (None, None)


def test_folders_in_a_class_belong_to_it(photos):
    (photos / "cat" / "dog").mkdir()
    shutil.copy(photos / "cat/0.png", photos / "cat/dog/0.png")
    dataset = load(photos, validation=0)
    assert (dataset.classes, dataset.train.labels.tolist()) == (("cat", "dog"), [0] * 7 + [1] * 6)


def test_without_sub_folders_or_with_a_picture_outside_them_there_are_no_labels(photos):
    shutil.copy(photos / "cat/0.png", photos / "outside.png")
    for folder in (photos, photos / "cat"):
        dataset = load(folder)
        assert dataset.classes == ()
        assert set(dataset.train.labels.tolist()) == {-1}
        assert not dataset.is_labelled


def test_folders_named_train_val_and_test_are_the_splits(photos, tmp_path):
    for split in ("train", "val", "test"):
        shutil.copytree(photos, tmp_path / "split" / split)
    dataset = load(tmp_path / "split", validation=3)
    assert dataset.classes == ("cat", "dog")
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [12, 12, 12]
    shutil.rmtree(tmp_path / "split" / "val")
    dataset = load(tmp_path / "split", validation=3)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [9, 3, 12]


def test_splits_depend_on_seed_and_name_only(photos):
    first, again, other = (load(photos, seed=seed, test=0.25) for seed in (1, 1, 2))
    assert brightness(first.validation) == brightness(again.validation) != brightness(other.validation)
    assert brightness(first.test) == brightness(other.test)
    assert sorted(brightness(first.test)) != [0, 40, 200]  # at random, not the first by name
    everything = brightness(first.train) + brightness(first.validation) + brightness(first.test)
    assert sorted(everything) == [20 * number for number in range(12)]
    os.rename(photos / "cat", photos / "cats")  # only names count: those of dogs keep their order
    order = [name for name in datasets.by_name(["dog/1", "cat/2", "dog/3"], salt=1)]
    renamed = [name for name in datasets.by_name(["dog/1", "cats/2", "dog/3"], salt=1)]
    assert [row for row in order if row != 1] == [row for row in renamed if row != 1]


def test_a_changed_file_is_decoded_again(photos, user_cache):
    load(photos)
    (before,) = user_cache.glob("jaxembed/folder-photos-8x3-*.npz")
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(photos / "cat" / "0.png")
    os.utime(photos / "cat" / "0.png", ns=(1, 1))
    dataset = load(photos, validation=0)
    assert brightness(dataset.train)[0] == 255
    (after,) = user_cache.glob("jaxembed/folder-photos-8x3-*.npz")
    assert before != after


def test_more_files_than_are_read_at_once_keep_their_labels(photos, monkeypatch):
    monkeypatch.setattr(pictures, "_AHEAD", 5)
    assert brightness(load(photos, validation=0).train) == [0, 200, 40, 80, 120, 160, 20, 220, 60, 100, 140, 180]


def test_bad_files_are_named_skipped_and_counted(photos, capsys):
    (photos / "cat" / "empty.png").touch()
    (photos / "cat" / "text.jpg").write_text("no picture")
    (photos / "dog" / "a\nb<script>.png").write_bytes((photos / "dog" / "1.png").read_bytes()[:40])
    (photos / "dog" / "notes.txt").write_text("not even by its name")
    for _ in ("decoded", "cached"):
        dataset = load(photos, validation=0)
        assert brightness(dataset.train) == [0, 200, 40, 80, 120, 160, 20, 220, 60, 100, 140, 180]
        lines = capsys.readouterr().err.splitlines()
        lines = [line for line in lines if "decoding" not in line and "are kept in" not in line]
        assert lines[0].endswith(
            "15 pictures; classes: 2 folders (cat and dog); not used: dog/notes.txt (not a picture)"
        )
        assert lines[1] == "skipping cat/empty.png: empty file"
        assert lines[2] == "skipping cat/text.jpg: not an image format Pillow can read"
        assert lines[3].startswith(r"skipping dog/a\nb<script>.png: ")
        assert lines[4:] == [f"3 of 15 pictures in {photos} cannot be read"]


def test_a_decompression_bomb_is_a_bad_file(photos, capsys, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 63)  # a large picture, not yet a bomb, is read without a warning
    assert len(load(photos, validation=0).train.labels) == 12
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"most pictures in .* cannot be read: 12 of 12"):
        load(photos)
    assert "decompression bomb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            lambda photos: photos / "nowhere",
            "config.data.path must be a folder of pictures; .*nowhere does not exist",
        ),
        (lambda photos: photos / "cat/0.png", "must be a folder of pictures; .*0.png is a file"),
        (
            lambda photos: (photos / "new").mkdir() or photos / "new",
            "config.data.path: no images in .*new; expected files with no extension or one of .apng",
        ),
    ],
)
def test_a_folder_without_pictures_is_refused(photos, change, error):
    with pytest.raises(InputError, match=error):
        load(change(photos))


def test_links_in_a_circle_end(photos):
    (photos / "cat" / "again").symlink_to(photos, target_is_directory=True)
    assert len(load(photos, validation=0).train.labels) == 12


def test_a_path_is_required(photos):
    with pytest.raises(InputError, match=r"config\.data lacks path"):
        datasets.load({"name": "folder", "size": 8, "validation": 3}, data_dir=None, seed=0)


def test_cache_with_wrong_arrays_is_replaced_with_one_warning(photos, user_cache, monkeypatch):
    whole = load(photos)
    (cache,) = user_cache.rglob("*.npz")
    with np.load(cache) as arrays:
        arrays = dict(arrays)
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    rows = np.array([0, *range(11)])
    for changed in ({"images": arrays["images"][1:]}, {"rows": rows}, {"rows": rows + 1.5}, {"bad": np.zeros(2)}):
        np.savez(cache, **(arrays | changed))
        np.testing.assert_array_equal(load(photos).train.images, whole.train.images)
        assert f"cache {cache} is damaged" in lines.pop()
        assert not lines


def test_classes_that_print_alike_are_refused(photos):
    (photos / "cat").rename(photos / "a\nb")
    (photos / "dog").rename(photos / r"a\nb")
    with pytest.raises(InputError, match="names differ when printed") as caught:
        load(photos)
    assert "\n" not in str(caught.value)


def test_a_few_of_many_unreadable_files_are_named(photos, capsys):
    for number in range(100):
        Image.new("L", (3, 5), number).save(photos / "dog" / f"good {number}.png")
        (photos / "cat" / f"bad {number}.png").write_text("text")
    load(photos)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("skipping")][-1] == "skipping 90 more"
    assert len([line for line in lines if "not an image format" in line]) == 10
    assert "100 of 212 pictures" in lines[-1]


def test_pictures_that_are_nearly_black_are_counted_and_named_also_when_cached(photos, capsys):
    for number in range(7):
        Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(photos / "cat" / f"deep {number}.tif")
    for _ in ("decoded", "cached"):
        load(photos)
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(
            "7 pictures are nearly black, as their values use few of their bits: cat/deep 0.tif (12 of"
        )
        assert "cat/deep 4.tif (12 of 16 bits) and 2 more; " in line
    for chunk in sources.open_source(str(photos)).stream(Preparation(Shape(8, 8, 3))):
        assert len(chunk.names) == 19
    assert capsys.readouterr().err.splitlines()[-1] == line
