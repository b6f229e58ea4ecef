"""What config.data.classes makes of a folder: its sub-folders, none, or the classes of a table."""

import numpy as np
import pytest
from PIL import Image

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.datasets.storage import classes


def make(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 9 * number, np.uint8)).save(folder / name)
    return folder


def load(folder, **options):
    section = {"name": "folder", "path": str(folder), "size": 8, "channels": 1, "validation": 0}
    return datasets.load(section | options, data_dir=None, seed=0)


@pytest.mark.parametrize(
    "name", ["2019", "1999-07", "2019_07_14", "20190714", "DCIM", "100APPLE", "WhatsApp Images"]
)
def test_dates_and_exports_are_known(name):
    assert classes.is_export(name)


@pytest.mark.parametrize("name", ["cat", "7", "18", "2019-13", "Rome 2019", "1234", "20191", "camera obscura"])
def test_other_names_are_classes(name):
    assert not classes.is_export(name)


def test_folders_of_years_are_classes_only_if_that_is_said(tmp_path, capsys):
    folder = make(tmp_path, "2019/a.png", "2019/b.png", "2020/c.png")
    assert load(folder).classes == ()
    line = "no classes: 2019 and 2020 are dates or exports, not classes (config.data.classes=folders "
    assert line in capsys.readouterr().err
    assert load(folder, classes="folders").classes == ("2019", "2020")
    make(tmp_path, "Rome/d.png")
    assert load(folder).classes == ("2019", "2020", "Rome")


def test_no_classes_where_none_are_asked_for(tmp_path, capsys):
    folder = make(tmp_path, "cat/a.png", "dog/b.png")
    assert load(folder, classes="none").classes == ()
    assert "no classes, as config.data.classes says" in capsys.readouterr().err


def test_a_table_names_the_class_of_each_picture(tmp_path, capsys):
    folder, table = make(tmp_path / "pictures", "x/a.png", "b.png", "c.png"), tmp_path / "classes.csv"
    table.write_text('name,class\nx/a.png,"red, dark"\nb.png,blue\nc.png,blue\ngone.png,blue\n')
    loaded = load(folder, classes=str(table))
    assert loaded.classes == ("blue", "red, dark")
    labels = dict(zip(loaded.names_of("train"), loaded.train.labels.tolist(), strict=True))
    assert labels == {"b.png": 0, "c.png": 0, "x/a.png": 1}
    assert "classes: 2 of the table (blue and red, dark), which has 1 more names" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "text", "reason"),
    [
        ("labels", None, "config.data.classes must be auto, folders, none or a .csv file, got 'labels'"),
        ("not_there.csv", None, "there is no such file"),
        ("t.csv", "name,class\na.png,x\n", "has no class for 1 pictures: b.png"),
        ("t.csv", "file,class\na.png,x\n", "must have a value of each of the columns name, class in each row"),
        ("t.csv", "name,class\na.png\n", "must have a value of each of the columns name, class in each row"),
        ("t.csv", "name,class\na.png,x\na.png,y\nb.png,x\n", "must name each picture once; 1 names come again"),
        ("t.csv", b"name,class\n\xff,x\n", "cannot be read as CSV in UTF-8"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_line(classes, text, reason, tmp_path):
    folder = make(tmp_path / "pictures", "a.png", "b.png")
    if text:
        (tmp_path / classes).write_bytes(text.encode() if isinstance(text, str) else text)
    given = str(tmp_path / classes) if classes.endswith(".csv") else classes
    with pytest.raises(InputError) as refused:
        load(folder, classes=given)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
