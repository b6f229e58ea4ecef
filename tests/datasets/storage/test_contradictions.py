"""Data that contradicts its own description is refused while it is decoded, in memory and left on disk."""

import io
import json
import warnings

import archives
import numpy as np
import pytest
from absl import logging
from PIL import Image

from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import records
from jaxembed.types import OnDisk

LIMITS = {"memory": float("inf"), "disk": 0.0}


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Six train and seven test images with labels in three classes."""
    data_dir = tmp_path_factory.mktemp("data")
    made = archives.prepare(data_dir, "trees", **archives.TREES)
    return data_dir / "trees" / "1.2.0", made


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of it."""
    copy = tmp_path / "trees" / "1.2.0"
    copy.mkdir(parents=True)
    for file in prepared[0].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def good(prepared):
    """The records of each split, right ones."""
    return {
        split: [
            (archives.encode(Image.fromarray(image)), int(label))
            for image, label in zip(images, labels, strict=True)
        ]
        for split, (images, labels) in prepared[1].items()
    }


def refusal(folder, limit: float) -> str:
    with pytest.raises(InputError) as caught:
        records.load("trees", folder, resident=limit)
    assert "\n" not in str(caught.value)
    assert not list(folder.glob("*.npz"))
    return str(caught.value)


def noise(*shape: int, mode: str | None = None) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    picture = Image.fromarray(pixels)
    return archives.encode(picture.convert(mode) if mode else picture)


IMAGES = {
    "another shape": (noise(7, 5, 3), "must be 5×7, got 7×5"),
    "one pixel": (noise(1, 1, 3), "must be 5×7, got 1×1"),
    "transparency": (noise(5, 7, 4), "got RGBA with transparent pixels"),
    "16 bits": (archives.png16(np.full((5, 7, 3), 300, np.uint16)), "16-bit RGB that 8 bits cannot hold"),
    "no image": (b"text", "must be one of PNG, JPEG, GIF, BMP"),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("case", IMAGES)
def test_bad_image_is_refused_with_its_split_and_index(folder, good, case, split, limit):
    encoded, text = IMAGES[case]
    good[split][4] = (encoded, 1)
    archives.rewrite(folder, split, good[split])
    error = refusal(folder, limit)
    assert f"the image in record 4 of {split}" in error
    assert text in error


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("label", [3, -1, -7, 1.5, float("nan"), 2**32, 2**62])
def test_bad_label_is_refused_with_its_split_and_index(folder, good, label, split, limit):
    good[split][2] = (good[split][2][0], label)
    archives.rewrite(folder, split, good[split])
    error = refusal(folder, limit)
    assert f"the label in record 2 of {split} must be a whole number in 0..2" in error
    assert f"got {label:g}" in error


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_images_is_refused(folder, split, limit):
    archives.rewrite(folder, split, [])
    assert f"got {'0 in train, 7' if split == 'train' else '6 in train, 0'} in test" in refusal(folder, limit)


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_class_name_that_occurs_twice_is_refused(folder, limit):
    (folder / "kind.labels.txt").write_text("ash\nbeech\nash\n")
    assert "got 'ash' 2 times" in refusal(folder, limit)
    # Two names that are printed alike.
    (folder / "kind.labels.txt").write_text("ash\nbe\x07ch\nbe\\x07ch\n")
    assert r"got 'be\\x07ch' 2 times" in refusal(folder, limit)


def described(folder, *, shape: tuple[int, ...] = (5, 7, 3), classes: int = 3) -> None:
    """Change the description of the images and the number of classes."""
    features = json.loads((folder / "features.json").read_text())
    inside = features["featuresDict"]["features"]
    inside["picture"]["image"]["shape"]["dimensions"] = [str(side) for side in shape]
    inside["kind"]["classLabel"]["numClasses"] = str(classes)
    (folder / "features.json").write_text(json.dumps(features))


@pytest.mark.parametrize("shape", [(5, 7, 3, 1), (0, 7, 3), (-1, 7, 3)])
def test_shape_of_no_image_is_refused(folder, shape):
    described(folder, shape=shape)
    assert "must have uint8 images of one static shape" in refusal(folder, 1.0)


def test_class_count_that_differs_from_the_names_is_refused(folder):
    described(folder, classes=2)
    assert "a name for each of its 2 classes, got 3" in refusal(folder, 1.0)
    (folder / "kind.labels.txt").unlink()
    # Would be as many names, of which TFDS makes up each.
    described(folder, classes=10**12)
    assert "must have 1 to 1000000 classes, got 1000000000000" in refusal(folder, 1.0)


def test_a_few_of_many_splits_are_listed(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    splits = [info["splits"][0] | {"name": f"part{number}"} for number in range(500)]
    (folder / "dataset_info.json").write_text(json.dumps(info | {"splits": splits}))
    error = refusal(folder, 1.0)
    assert "must have the splits train and test" in error
    assert "and 490 more" in error
    assert len(error) < 300


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_convertible_images_are_converted(folder, good, limit):
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7)
    good["train"][3] = (archives.encode(Image.fromarray(grey)), 1)
    archives.rewrite(folder, "train", good["train"])
    published = records.load("trees", folder, resident=limit)
    assert isinstance(published.train.images, OnDisk) == (limit == 0)
    np.testing.assert_array_equal(published.train.images[3], np.repeat(grey[:, :, None], 3, axis=2))
    assert published.train.labels[3] == 1


def pickled() -> bytes:
    """An array of objects, whose unpickling would call `print`."""

    class Malicious:
        def __reduce__(self):
            return print, ("unpickled",)

    stream = io.BytesIO()
    np.savez(stream, classes=np.array([Malicious()], object))
    return stream.getvalue()


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


TAMPERED = {
    "classes": lambda names: names[:1],
    "train_images": lambda images: images[:, :, :-1],
    "train_labels": lambda labels: labels + 1,
    "test_images": lambda images: images.astype(np.int16),
    "test_labels": lambda labels: labels - 1,
    "sha256": lambda text: np.zeros(3),
}
DAMAGES = {
    "emptied": lambda content, arrays: b"",
    "truncated": lambda content, arrays: content[: len(content) // 2],
    "one bit": lambda content, arrays: bytes([*content[:400], content[400] ^ 16, *content[401:]]),
    "another file": lambda content, arrays: b"\x80\x04K\x01.",
    "another array": lambda content, arrays: npz(images=np.zeros((2, 3))),
    "pickled": lambda content, arrays: pickled(),
} | {
    f"wrong {name}": lambda content, arrays, name=name: npz(**(arrays | {name: TAMPERED[name](arrays[name])}))
    for name in TAMPERED
}
# Arrays that are not in the cache.
MISSING = {("wrong classes", "disk"), ("wrong train_images", "disk"), ("wrong sha256", "memory")}


@pytest.mark.parametrize(
    ("case", "limit"),
    [
        pytest.param(case, limit, id=f"{case}, {kind}")
        for case in DAMAGES
        for kind, limit in LIMITS.items()
        if (case, kind) not in MISSING
    ],
)
def test_cache_with_wrong_content_is_replaced_with_one_warning(folder, monkeypatch, capsys, case, limit):
    whole = records.load("trees", folder, resident=limit)
    (cache,) = folder.glob("*.npz")
    content = cache.read_bytes()
    with np.load(cache) as arrays:
        cache.write_bytes(DAMAGES[case](content, dict(arrays)))
    capsys.readouterr()
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: lines.append(text % values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = records.load("trees", folder, resident=limit)
    (line,) = lines
    assert f"cache {cache} is damaged (" in line
    assert "\n" not in line
    assert "unpickled" not in capsys.readouterr().out
    assert again.classes == whole.classes
    for split in ("train", "test"):
        np.testing.assert_array_equal(getattr(again, split).images[:], getattr(whole, split).images[:])
        np.testing.assert_array_equal(getattr(again, split).labels, getattr(whole, split).labels)
    assert isinstance(again.train.images, OnDisk) == (limit == 0)
    records.load("trees", folder, resident=limit)
    assert len(lines) == 1


def test_damaged_cache_does_not_load_a_large_dataset_into_memory(folder):
    records.load("trees", folder, resident=1.0)
    (cache,) = folder.glob("*.npz")
    cache.write_bytes(b"")
    published = records.load("trees", folder, resident=6 * 5 * 7 * 3 / 1e9 * 0.9)
    assert isinstance(published.train.images, OnDisk)


def test_a_deleted_cache_is_made_again(folder):
    whole = records.load("trees", folder, resident=1.0)
    (cache,) = folder.glob("*.npz")
    cache.unlink()
    np.testing.assert_array_equal(records.load("trees", folder, resident=1.0).test.images, whole.test.images)
    assert cache.exists()


def test_a_cache_from_before_labels_were_checked_is_not_trusted(folder, good, monkeypatch):
    good["train"][2] = (good["train"][2][0], 7)
    archives.rewrite(folder, "train", good["train"])
    with monkeypatch.context() as patched:
        patched.setattr(records, "_FORMAT", 1)
        old = f"jaxembed-{records._key(folder)}.npz"
    arrays = {"classes": np.array(["ash", "beech", "cedar"])}
    arrays |= {f"{split}_labels": np.array([7], np.int32) for split in ("train", "test")}
    (folder / old).write_bytes(npz(**arrays))
    with pytest.raises(InputError, match="record 2 of train"):
        records.load("trees", folder, resident=1.0)


def test_split_counts_equal_the_records(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = ["9"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    assert "cannot be read" in refusal(folder, 0.0)
