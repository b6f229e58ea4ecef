"""Without labels, with one class or without held-out images: a run is trained, measured and shown all the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from jaxembed import report
from jaxembed.artifacts import finished
from jaxembed.core.errors import InputError
from jaxembed.jobs import commands
from jaxembed.jobs.job import Job

pytestmark = pytest.mark.usefixtures("blank_figures")
CROP = {"crop": {"min_area": 0.5, "max_area": 1.0}}
BY_LABEL = re.compile("accuracy|recall|map_at|silhouette|cdnv|overlap|within|between|ratio|/alignment")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty blurred pictures of random sizes in one folder."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    for number in range(60):
        small = Image.fromarray(random.integers(0, 256, (3, 3, 3), np.uint8))
        small.resize(tuple(random.integers(10, 30, 2).tolist())).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def job(config: ConfigDict, photos: Path, folder: Path, objective: dict, **data) -> Job:
    config = ConfigDict(config.to_dict() | {"objective": objective})
    config.data = {"name": "folder", "path": str(photos), "size": 8, "validation": 20} | data
    config.evaluate.augmentation = CROP
    config.train.batch_size = 16
    return Job("photos", config, folder, "the command", None)


NTXENT = {"name": "ntxent", "temperature": 0.5, "projection": (4,), "augmentation": CROP}
RECONSTRUCT = {"name": "reconstruct", "augmentation": {}, "corruption": {}}


@pytest.mark.parametrize(
    ("objective", "data", "split"),
    [(RECONSTRUCT, {"test": 8}, "test"), (NTXENT, {"validation": 0}, "train")],
    ids=["reconstruct", "train-only"],
)
def test_a_folder_without_labels_is_measured_by_what_needs_none(
    objective, data, split, config, photos, tmp_path, capsys
):
    commands.train(job(config, photos, tmp_path / "run", objective, **data))
    shown = capsys.readouterr().out
    assert "no labels" in shown
    assert ("no test split: measured on" in shown) == (split != "test")
    record = json.loads((tmp_path / "run/result.json").read_text())
    assert record["split"] == split
    names = set(record["metrics"])
    assert not [name for name in names if BY_LABEL.search(name)]
    always = ("rankme", "uniformity", "dimension_spread", "view_alignment", "view_agreement", "trustworthiness")
    assert names >= {f"{split}/{name}" for name in always}
    assert (f"{split}/l1" in names) == (objective is RECONSTRUCT)
    figures = {file.stem for file in (tmp_path / "run/figures").iterdir()}
    assert figures >= {"embeddings", "loss", "neighbours"}
    assert not figures & {"confusion", "distances"}
    run = finished.read(tmp_path / "run")
    assert run.sample.labels is None
    text = report.write([run], tmp_path / "report")[1].read_text()
    assert f"evaluated on the {split} split" in text
    assert "kNN %" not in text
    assert not (tmp_path / "report/distance_comparison_photos.png").exists()
    page = (tmp_path / "report/report.html").read_text()
    assert "without labels" in page
    assert "checkbox" not in page.lower().split("<script")[-1]


@pytest.mark.parametrize("name", ["classify", "margin"])
@pytest.mark.parametrize("classes", [0, 1])
def test_what_learns_from_labels_refuses_in_one_line(name, classes, config, photos, tmp_path):
    objectives = {
        "classify": dict(hidden=(4,), dropout=0.0, smoothing=0.0, mirrored=False, shifted=0, augmentation={}),
        "margin": dict(margin=1.0, projection=(), augmentation={}),
    }
    path = photos
    if classes:
        path = tmp_path / "one"
        path.mkdir()
        (path / "only").symlink_to(photos)
    got = classes or "none"
    with pytest.raises(InputError, match=f"objective.name='{name}' needs images of at least 2 classes, got {got}"):
        commands.train(job(config, path, tmp_path / "run", {"name": name} | objectives[name]))
    assert not (tmp_path / "run/config.json").exists()


def test_one_class_and_a_class_with_one_image_are_measured_without_labels(config, photos, tmp_path, capsys):
    for file in sorted(photos.iterdir()):
        target = tmp_path / "two" / ("rare" if file.name == "00.png" else "common") / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)
    commands.train(job(config, tmp_path / "two", tmp_path / "run", NTXENT))
    assert "2 classes" in (shown := capsys.readouterr().out)
    assert "too few held-out images" in shown
    names = json.loads((tmp_path / "run/result.json").read_text())["metrics"]
    assert not [name for name in names if BY_LABEL.search(name)]


def test_an_image_that_is_too_small_for_the_encoder_is_refused(config, photos, tmp_path):
    made = job(config, photos, tmp_path / "run", NTXENT, size=4)
    made.config.encoder = {
        "name": "cnn",
        "widths": (4, 4, 4),
        "depth": 1,
        "stem": "pooled",
        "latent": 4,
        "dropout": 0.0,
    }
    with pytest.raises(InputError, match=r"config\.encoder\.widths has more blocks than the image can be halved"):
        commands.train(made)


def test_without_validation_images_there_is_nothing_to_tune_on(config, photos, tmp_path):
    with pytest.raises(InputError, match="--tune measures on the validation split"):
        commands.tune(job(config, photos, tmp_path / "run", NTXENT, validation=0))
