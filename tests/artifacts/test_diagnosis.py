"""diagnosis.npz and the CSV files: what was written is read, and damage is one line."""

import csv
import io

import finished_runs
import numpy as np
import pytest

from jaxembed.artifacts import diagnosis, finished
from jaxembed.core.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 9, 7, 1), np.uint8)


@pytest.fixture
def found():
    return finished_runs.suspected(IMAGES)


def test_written_diagnosis_is_read_back(found, tmp_path):
    diagnosis.write(found, tmp_path)
    read = diagnosis.read(tmp_path)
    np.testing.assert_array_equal(read.classes, found.classes)
    assert read.examined == found.examined
    assert list(read.tables) == list(found.tables)
    for name, table in found.tables.items():
        for field, array in table._asdict().items():
            if field == "scores":
                assert {score: values.tolist() for score, values in read.tables[name].scores.items()} == {
                    score: values.tolist() for score, values in array.items()
                }
            else:
                np.testing.assert_array_equal(getattr(read.tables[name], field), array)


def test_a_folder_without_one_has_none(tmp_path):
    assert diagnosis.read(tmp_path) is None


def test_a_csv_file_has_a_row_for_each_and_names_as_they_are(found, tmp_path):
    labels = found.tables["labels"]
    names = labels.names.astype("U20")
    names[0, 0] = 'a,"b"\nc.png'
    found = found._replace(tables=found.tables | {"labels": labels._replace(names=names)})
    diagnosis.write(found, tmp_path)
    rows = list(csv.reader((tmp_path / "doctor" / "labels.csv").open(newline="")))
    assert rows[0] == ["rank", "image", "label", "proposed", "support", "confidence", "agreement"]
    assert rows[1] == ["1", 'a,"b"\nc.png', "sky", "cat & <dog>", "0.1", "0.1", "0.1"]
    assert len(rows) == 4
    leaks = list(csv.reader((tmp_path / "doctor" / "leaks.csv").open(newline="")))
    assert leaks[0][:5] == ["rank", "first_image", "first_label", "second_image", "second_label"]
    assert leaks[1][:5] == ["1", "test/0", "cat & <dog>", "test/1", "sea"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "＝1", "'quoted"])
def test_a_csv_file_has_no_formulas(name, found):
    labels = found.tables["labels"]
    names, classes = labels.names.astype("U20"), found.classes.astype("U20")
    names[0, 0] = classes[labels.labels[0, 0]] = name
    scores = {score: -values for score, values in labels.scores.items()}
    tables = {"labels": labels._replace(names=names, scores=scores)}
    _, row, *_ = csv.reader(
        io.StringIO(diagnosis.as_csv(found._replace(classes=classes, tables=tables), "labels"), "")
    )
    assert row[:3] == ["1", f"'{name}", f"'{name}"]
    assert row[-1] == "-0.1"  # a number


def test_table_without_rows_has_no_file(found, tmp_path):
    found.tables.pop("leaks")
    diagnosis.write(found, tmp_path)
    assert sorted(file.stem for file in (tmp_path / "doctor").iterdir()) == ["duplicates", "labels", "outliers"]
    assert "leaks" not in diagnosis.read(tmp_path).tables


@pytest.mark.parametrize(
    "change",
    [
        {"labels/labels": np.full((3, 1), 3)},
        {"labels/proposed": np.full(3, -1)},
        {"leaks/names": np.array([["one"]] * 3)},
        {"outliers/images": np.zeros((4, 1, 9, 7, 1), np.uint8)},
        {"outliers/images": np.zeros((1, 2, 9, 7, 1), np.uint8)},
        {"outliers/scores/remoteness": np.zeros(2, np.float32)},
        {"classes": np.zeros(3)},
        {"leaks/scores/distance": None},
    ],
)
def test_damage_is_named_in_a_line(found, change, tmp_path):
    run = finished_runs.make(tmp_path / "run")
    file = run.folder / diagnosis.FILE
    with np.load(file) as opened:
        arrays = dict(opened) | change
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=r"diagnosis.npz is damaged \(.*\); launch.py --evaluate writes it$"):
        finished.read(run.folder)
    file.write_bytes(b"PK" + bytes(40))
    with pytest.raises(InputError, match="is damaged"):
        diagnosis.read(run.folder)
