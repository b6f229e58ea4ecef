"""Folders of anything: each is a valid dataset, or is refused in one line, without a warning.

With more examples: `FUZZ=500 python -m pytest tests/datasets/test_fuzzed_data.py`.
"""

import contextlib
import functools
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import archives
import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.types import Dataset, OnDisk

MORE = int(os.environ.get("FUZZ", "0"))
FUZZ = settings(
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    max_examples=MORE or 40,
)
MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "F",
    "I;16",
)  # Pillow 12.3 warns of I as PNG
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")
NAMES = st.one_of(
    st.sampled_from(
        [
            *(
                "a",
                "b",
                "train",
                "test",
                "val",
                "0",
                "Ä ö",
                "two\nlines",
                r"two\nlines",
                "-x",
                ".hidden",
                " ",
                "*",
                "~",
            ),
            *("x" * 200, "[a", "%s", "{0}", "\x1b[31m", "猫", "\udcff\udc80", "__MACOSX", "a'b", 'a"b', "nul\x7f"),
        ]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=6),
)
ENDINGS = st.sampled_from(
    ["", ".png", ".jpg", ".JPEG", ".gif", ".tif", ".bmp", ".webp", ".txt", ".png.txt", ".eps"]
)


def mostly(usual: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    """Draw the usual, and now and then something odd."""
    return st.integers(0, 9).flatmap(lambda number: odd if number == 7 else usual)


@st.composite
def encoded(draw, size: tuple[int, int] | None = None, modes=MODES, formats=FORMATS) -> bytes:
    """Draw a file: a picture, or what is left of one."""
    width, height = size or (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    picture = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
    mode, kind = draw(st.sampled_from(modes)), draw(st.sampled_from(formats))
    with contextlib.suppress(ValueError):  # not all modes can be made from RGB
        through = {"PA": "P", "LAB": "RGB", "I;16": "I", "LA": "L"}.get(mode)
        picture = (picture.convert(through) if through else picture).convert(mode)
    try:
        content = archives.encode(picture, kind)
    except (OSError, ValueError, KeyError):  # not all formats hold all modes
        content = archives.encode(picture.convert("RGB"), kind)
    damaged = [b"", b"text", content[: len(content) // 2], content[:-9] + b"\xff" * 9]
    return draw(mostly(st.just(content), st.sampled_from(damaged)))


@st.composite
def trees(draw) -> list[tuple[str, bytes]]:
    """Draw some files of a folder: a relative path and the content of each."""
    folders = draw(st.lists(st.lists(NAMES, max_size=3).map("/".join), min_size=1, max_size=4))
    files = draw(st.lists(st.tuples(st.sampled_from(folders), NAMES, ENDINGS, encoded()), max_size=9))
    return [(f"{folder}/{name}{ending}".lstrip("/"), content) for folder, name, ending, content in files]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make a temporary folder, in which caches are also written, and let no warning pass."""
    with tempfile.TemporaryDirectory() as root:
        environment = mock.patch.dict(os.environ, {"XDG_CACHE_HOME": f"{root}/cache"})
        with environment, mock.patch.object(logging, "warning", side_effect=AssertionError):
            yield Path(root)


def check(section: dict, data_dir: Path, **options) -> None:
    """Load twice, decoded and cached: both are one valid dataset, or one line."""
    found = []
    for _ in range(2):
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                dataset = datasets.load(section, data_dir=str(data_dir), seed=1, **options)
            validate(dataset)
            found.append(dataset.sha256)
        except InputError as error:
            found.append(str(error))
        lines = [found[-1], *printed.getvalue().replace("\r", "\n").split("\n")]
        assert all(line.isprintable() for line in lines), lines
    assert found[0] == found[1]
    event(re.sub(r"/\S*", "…", found[0])[:60] if " " in found[0] else "loaded")


def validate(dataset: Dataset) -> None:
    """Check that a dataset is what its type says."""
    assert len(set(dataset.classes)) == len(dataset.classes)
    assert all(name.isprintable() for name in (dataset.name, *dataset.classes))
    assert len(bytes.fromhex(dataset.sha256)) == 32
    for split in ("train", *dataset.held_out):
        images, labels = getattr(dataset, split)
        assert split == "train" or not isinstance(images, OnDisk)
        assert images.shape == (len(labels), *dataset.train.images.shape[1:])
        assert len(labels)
        assert images.shape[-1] in (1, 3)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
        assert images[:].shape == images.shape
        if dataset.classes:
            assert 0 <= labels.min() <= labels.max() < len(dataset.classes)
        else:
            assert (labels == -1).all()


@FUZZ
@given(
    files=trees(),
    loop=mostly(st.just(False), st.just(True)),
    options=st.fixed_dictionaries(
        {
            "size": st.integers(1, 12),
            "channels": st.sampled_from([1, 3]),
            "test": st.sampled_from([0.0, 0.3, 1]),
            "validation": st.sampled_from([0.0, 0.4, 1]),
        }
    ),
)
def test_any_folder_is_loaded_or_refused(files, loop, options):
    with workplace() as root:
        pictures = root / "pictures"
        pictures.mkdir()
        for name, content in files:
            with contextlib.suppress(OSError):  # too long, or a file and a folder of one name
                (pictures / name).parent.mkdir(parents=True, exist_ok=True)
                (pictures / name).write_bytes(content)
        if loop:
            (pictures / "loop").symlink_to(pictures)
            (pictures / "dangling.png").symlink_to("nothing")
        check({"name": "folder", "path": str(pictures), **options}, root)


@functools.cache
def prepared() -> Path:
    """Prepare a right dataset, which is copied and changed."""
    data_dir = Path(tempfile.mkdtemp(prefix="fuzz-"))
    image = tfds.features.Image(shape=(5, 7, 3))
    label = tfds.features.ClassLabel(names=["ash", "beech", "cedar"])
    archives.prepare(
        data_dir, "trees", image=image, label=label, supervised=("picture", "kind"), splits=("train", "test")
    )
    return data_dir / "trees" / "1.2.0"


LOSSLESS = encoded(size=(7, 5), modes=("RGB", "L", "P", "1"), formats=("PNG", "JPEG", "BMP"))
LABELS = mostly(st.integers(0, 2), st.sampled_from([-1, -2, 3, 2**40, 0.5, 1.0, float("nan")]))
RECORDS = mostly(
    st.lists(st.tuples(LOSSLESS, st.integers(0, 2)), min_size=1, max_size=5),
    st.lists(st.tuples(mostly(LOSSLESS, encoded(size=(7, 5)) | encoded()), LABELS), max_size=5),
)
SHAPES = mostly(
    st.just(["5", "7", "3"]),
    st.sampled_from(
        [["5", "7", "1"], ["7", "5", "3"], ["-1", "7", "3"], ["0", "7", "3"], ["5", "7", "3", "1"], ["5", "7"], []]
    ),
)
CLASSES = mostly(
    st.just(["ash", "beech", "cedar"]),
    st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), max_size=4),
)
COUNTS = mostly(st.just("3"), st.sampled_from(["2", "0", "-1", "999999999999"]))
FILES = ["dataset_info.json", "features.json", "kind.labels.txt", "trees-train.array_record-00000-of-00001"]


@FUZZ
@given(
    splits=st.fixed_dictionaries({"train": RECORDS, "test": RECORDS}),
    shape=SHAPES,
    classes=CLASSES,
    count=COUNTS,
    damaged=mostly(st.none(), st.sampled_from(FILES)),
    name=mostly(st.just("trees"), st.sampled_from(["Ä ö", "a/b", "-"])),
    resident=st.sampled_from([0.0, float("inf")]),
    validation=st.sampled_from([0, 1, 0.5]),
)
def test_any_prepared_folder_is_loaded_or_refused(
    splits, shape, classes, count, damaged, name, resident, validation
):
    source = prepared()
    with workplace() as root:
        folder = root / "data" / name / "1.2.0"
        shutil.copytree(source, folder)
        for split, records in splits.items():
            archives.rewrite(folder, split, records)
        features = json.loads((folder / "features.json").read_text())
        inside = features["featuresDict"]["features"]
        inside["picture"]["image"]["shape"]["dimensions"] = shape
        inside["kind"]["classLabel"]["numClasses"] = count
        (folder / "features.json").write_text(json.dumps(features))
        (folder / "kind.labels.txt").write_text("\n".join(classes) + "\n")
        if damaged:
            content = (folder / damaged).read_bytes()
            (folder / damaged).write_bytes(content[: len(content) // 2])
        section = {"name": name, "validation": validation}
        check(section, root / "data", resident=resident)
