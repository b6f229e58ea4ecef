"""Copies are groups, of which one is kept; blank, dark, blurred and tiny pictures are named, on a page as well."""

import csv
import os

import numpy as np
import pytest
from PIL import Image, ImageFilter

from jaxembed.artifacts.diagnosis import Diagnosis, Table
from jaxembed.cli import command
from jaxembed.doctor import __main__ as doctor
from jaxembed.doctor import groups, labels, originals
from jaxembed.doctor.originals import Original


def table(*pairs):
    names = np.array([[first, second] for first, second, _ in pairs])
    likeness = np.array([alike for *_, alike in pairs], np.float32)
    return Table(names, np.full(names.shape, -1), {"likeness": likeness}, None)


def test_pairs_that_share_a_picture_are_one_group_whatever_their_order():
    found = {"leaks": table(("c", "d", 1)), "duplicates": table(("a", "b", 1), ("e", "f", 0.99), ("d", "b", 0.998))}
    found["duplicates"] = table(("a", "b", 1), ("e", "f", 0.99), ("d", "b", 0.998), ("x", "y", 1), ("p", "q", 1))
    assert groups.of(Diagnosis(np.array([]), (9, 9), found), {"y"}) == [["a", "b", "c", "d"], ["p", "q"]]
    assert groups.of(Diagnosis(np.array([]), (9, 9), {}), set()) == []


def original(width=100, sharpness=1.0, modified=5.0):
    return Original(width, 80, 1000, modified, 100.0, 50.0, sharpness)


@pytest.mark.parametrize(
    ("others", "kept", "reason"),
    [
        ({"b": original(width=200)}, "b", "the largest"),
        ({"b": original(sharpness=1.2), "c": original(width=50, sharpness=9.0)}, "b", "the sharpest"),
        ({"b": original(modified=4.0)}, "b", "the oldest"),
        ({"b": original(sharpness=1.001)}, "a", "the first by name"),
    ],
)
def test_the_largest_is_kept_then_the_sharpest_then_the_oldest(others, kept, reason):
    found = groups.members(["a", *others], {"a": original()} | others)
    assert (found[0].name, found[0].reason) == (kept, reason)
    assert {each.reason for each in found[1:]} == {""}
    assert {each.name for each in found} == {"a", *others}


def test_pictures_without_files_are_a_group_of_which_none_is_chosen():
    assert groups.members(["a", "b"], {}) == [("a", None, ""), ("b", None, "")]


def test_sharpness_is_0_for_a_plane_falls_with_blur_and_does_not_depend_on_contrast():
    plane = np.add.outer(np.arange(20.0), np.arange(30.0))
    assert originals.sharpness(plane) == pytest.approx(0, abs=1e-12)
    noise = np.random.default_rng(0).normal(100, 30, (200, 200))
    # The Laplacian of independent values: 4² + 4·1² = 20 times their variance.
    assert originals.sharpness(noise) == pytest.approx(20**0.5, rel=0.02)
    assert originals.sharpness(noise * 0.5) == pytest.approx(originals.sharpness(noise), rel=1e-6)


@pytest.fixture
def folder(tmp_path):
    """A folder of 12 pictures, with copies of one, and one of each that is blank, dark, blurred or tiny."""
    folder, random = tmp_path / "pictures", np.random.default_rng(1)
    folder.mkdir()
    for number in range(12):
        pixels = np.kron(random.integers(0, 256, (12, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    first = Image.open(folder / "00.png")
    first.resize((320, 240)).save(folder / "large.jpg", quality=90)
    first.resize((80, 60)).save(folder / "small.jpg", quality=60)
    Image.fromarray(np.full((90, 90, 3), 200, np.uint8)).save(folder / "=blank.png")
    Image.fromarray((random.integers(0, 20, (90, 90, 3))).astype(np.uint8)).save(folder / "dark.png")
    blocks = np.kron(random.integers(0, 256, (3, 4)), np.ones((40, 40))).astype(np.uint8)
    Image.fromarray(blocks).filter(ImageFilter.GaussianBlur(8)).save(folder / "blurred.png")
    Image.open(folder / "04.png").resize((40, 30)).save(folder / "tiny.png")
    return folder


def test_a_folder_is_examined_as_people_do_it(folder, tmp_path, capsys):
    output = tmp_path / "out"
    before = sorted(os.listdir(folder))
    assert command.run("doctor", doctor.main, ["quickstart", str(folder), f"--output={output}"]) == 0
    printed = capsys.readouterr().out
    with (output / groups.FILE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    by_group = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append(row)
    [copies] = [each for each in by_group.values() if any(row["image"] == "large.jpg" for row in each)]
    assert {row["image"] for row in copies} == {"00.png", "large.jpg", "small.jpg"}
    assert (copies[0]["image"], copies[0]["keep"]) == ("large.jpg", "the largest")
    assert (copies[0]["width"], copies[0]["height"]) == ("320", "240")
    assert int(copies[0]["bytes"]) == (folder / "large.jpg").stat().st_size
    spare = (output / groups.REMOVE).read_text().splitlines()
    assert {str(folder / "00.png"), str(folder / "small.jpg")} <= set(spare)
    assert str(folder / "large.jpg") not in spare
    with (output / originals.FILE).open(newline="") as stream:
        problems = {row["image"]: row["problem"] for row in csv.DictReader(stream)}
    with (output / "duplicates.csv").open(newline="") as stream:
        pairs = list(csv.DictReader(stream))
    numbers = {row["image"]: row["group"] for row in rows}
    for pair in pairs:
        first, second = (numbers.get(pair[f"{which}_image"]) for which in ("first", "second"))
        assert pair["group"] == (first if first and first == second else "")
    assert {numbers["00.png"], ""} <= {pair["group"] for pair in pairs}
    wanted = {"'=blank.png": "blank", "dark.png": "dark", "blurred.png": "blurred", "tiny.png": "tiny"}
    assert problems.items() >= wanted.items()
    assert "groups of copies (likeness 0.997 or more)" in printed
    assert "\n1 blank, 1 blurred, 1 dark, 2 tiny\n" in printed  # small.jpg as well
    page = (output / "doctor.html").read_text()
    assert "keep: the largest" in page
    assert "320 × 240" in page
    assert page.count("data:image/webp;base64,") >= len(rows)
    assert "http" not in page.replace("http-equiv", "")
    assert sorted(os.listdir(folder)) == before


def test_without_copies_it_says_so(tmp_path, capsys):
    folder, random = tmp_path / "pictures", np.random.default_rng(2)
    folder.mkdir()
    for number in range(5):
        pixels = np.kron(random.integers(0, 256, (12, 16)), np.ones((10, 10))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    assert command.run("doctor", doctor.main, ["quickstart", str(folder), f"--output={tmp_path / 'out'}"]) == 0
    assert "No copies: no two pictures have a likeness of 0.997 or more.\n" in capsys.readouterr().out
    assert (tmp_path / "out" / groups.REMOVE).read_text() == ""


def blocks(seed: int, shape=(12, 16, 3)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, shape)
    return Image.fromarray(np.kron(pixels, np.ones((10, 10, 1))).astype(np.uint8))


def test_copies_in_two_splits_are_named_with_their_splits_and_found_in_the_folder(tmp_path, capsys):
    folder, output = tmp_path / "pictures", tmp_path / "out"
    for number, split in enumerate(["Train", "Train", "Train", "Train", "val", "val", "testing", "testing"]):
        (folder / split).mkdir(parents=True, exist_ok=True)
        blocks(number).save(folder / split / f"{number}.png")
    blocks(0).resize((80, 60)).save(folder / "testing" / "small.jpg", quality=70)
    assert command.run("doctor", doctor.main, ["quickstart", str(folder), f"--output={output}"]) == 0
    assert "1 group of copies (likeness 0.997 or more); 1 picture is not needed" in (
        printed := capsys.readouterr().out
    )
    assert "1 pair of them in two splits.\n" in printed
    with (output / "leaks.csv").open(newline="") as stream:
        first, *_ = csv.DictReader(stream)
    assert {first["first_image"], first["second_image"]} == {"Train/0.png", "testing/small.jpg (test)"}
    assert first["group"] == "1"
    assert (output / groups.REMOVE).read_text() == f"{folder / 'testing' / 'small.jpg'}\n"
    with (output / groups.FILE).open(newline="") as stream:
        assert [row["width"] for row in csv.DictReader(stream)] == ["160", "80"]
    page = (output / "doctor.html").read_text()
    assert page.count("<img") == page.count("<figure")
    names = [line for line in page.splitlines() if "val/" in line]
    assert names
    assert all("(validation)" in line for line in names)


@pytest.fixture
def classes(tmp_path):
    """Two classes of 20 pictures, dark and light."""
    folder = tmp_path / "classes"
    for number in range(40):
        kind = ("dark", "light")[number % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        blocks(number).point([value // 4 + 150 * (number % 2) for value in range(256)] * 3).save(
            folder / kind / f"{number:02}.png"
        )
    return folder


def test_a_wrong_label_is_called_so_and_only_where_there_are_classes(classes, tmp_path, capsys, monkeypatch):
    words = ["quickstart", str(classes), f"--output={tmp_path / 'out'}", "--overwrite"]
    assert command.run("doctor", doctor.main, words) == 0
    assert "\nNo wrong labels: none has a support of 0.05 or less (" in capsys.readouterr().out
    (classes / "light" / "01.png").rename(classes / "dark" / "01.png")
    assert command.run("doctor", doctor.main, words) == 0
    assert "\n1 label with a support of 0.05 or less, likely wrong: " in capsys.readouterr().out
    with (tmp_path / "out" / "labels.csv").open(newline="") as stream:
        first, *_ = csv.DictReader(stream)
    assert (first["image"], first["label"], first["proposed"]) == ("dark/01.png", "dark", "light")
    assert "likely wrong" in (tmp_path / "out" / "doctor.html").read_text()
    monkeypatch.setattr(labels, "KNOWN", 0.99)
    assert command.run("doctor", doctor.main, words) == 0
    said = (
        "No label is called wrong, because a classifier of the embedding finds only 98% of the labels (at least 99%"
    )
    assert said in capsys.readouterr().out
    for name, year in {"dark": "2018", "light": "2019"}.items():
        (classes / name).rename(classes / year)
    assert command.run("doctor", doctor.main, words) == 0
    assert "support" not in capsys.readouterr().out
    assert not (tmp_path / "out" / "labels.csv").exists()
