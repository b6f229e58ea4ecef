"""jaxembed doctor: a run's dataset, a folder of pictures, and what cannot be used."""

import csv

import finished_runs
import numpy as np
import pytest
from PIL import Image

from jaxembed.cli import command
from jaxembed.doctor import __main__ as doctor

RANDOM = np.random.default_rng(0)


def run(*arguments) -> int:
    return command.run("doctor", doctor.main, [str(each) for each in arguments])


def test_encoders_own_dataset_is_examined_by_default(tmp_path, capsys):
    assert run("quickstart", "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert out.startswith("1,797 images examined\nNear-duplicates in two splits: the first 5 of ")
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    tables = ["duplicates.csv", "groups.csv", "labels.csv", "leaks.csv", "outliers.csv"]
    assert written == ["doctor.html", "doctor.png", *tables]
    assert out.splitlines()[-1] == str(tmp_path / "out" / "doctor.html")
    with (tmp_path / "out" / "leaks.csv").open(newline="") as stream:
        head, first, *_ = csv.reader(stream)
    assert float(first[head.index("likeness")]) > 0.95
    assert {first[head.index(f"{which}_image")].split("/")[0] for which in ("first", "second")} == {"train", "test"}


@pytest.fixture
def photos(tmp_path):
    """24 pictures without classes, one of them a moved and darker copy of another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(24):
        pixels = np.kron(RANDOM.integers(0, 256, (8, 8)), np.ones((4, 4))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    Image.fromarray((pixels * 0.9 + 10).astype(np.uint8)).save(folder / "copy.png")
    return folder


def test_folder_is_examined_and_its_copy_is_listed_first(photos, tmp_path, capsys):
    assert run("quickstart", photos, "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "25 images examined" in out
    assert "Suspicious labels" not in out
    with (tmp_path / "out" / "duplicates.csv").open(newline="") as stream:
        _, first, *_ = csv.reader(stream)
    assert {first[1], first[2]} == {"23.png", "copy.png"}
    assert float(first[3]) == pytest.approx(1, abs=0.01)


def test_nothing_of_an_earlier_examination_is_left(tmp_path):
    found = finished_runs.suspected(RANDOM.integers(0, 256, (30, 9, 7, 1), np.uint8))
    assert len(doctor.write(found, "first", tmp_path)) == len(list(tmp_path.iterdir())) > 3
    (name, table), *_ = found.tables.items()
    written = doctor.write(found._replace(tables={name: table._replace(images=None)}), "second", tmp_path)
    assert written == list(tmp_path.iterdir()) == [tmp_path / f"{name}.csv"]


def test_existing_files_are_not_overwritten(photos, capsys):
    (photos / "labels.csv").write_text("mine")
    assert run("quickstart", photos, "--output", photos) == 2
    assert "has a labels.csv; use --overwrite to replace it" in capsys.readouterr().err
    assert run("quickstart", photos, "--output", photos, "--overwrite") == 0
    assert (photos / "labels.csv").read_text() == "mine"  # without labels there is no such table


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("quickstar",), "did you mean 'quickstart'"),
        (("quickstart", "nowhere"), "config.data.name must be one of"),
    ],
)
def test_input_that_cannot_be_examined_is_reported_in_one_line(arguments, error, tmp_path, capsys):
    assert run(*arguments, "--output", tmp_path / "out", "--data_dir", tmp_path) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("doctor: ")
    assert error in line
    assert not (tmp_path / "out").exists()
