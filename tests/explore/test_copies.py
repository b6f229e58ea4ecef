"""Copies of originals in a folder: under their names, and nothing is replaced."""

import os

import pytest

from jaxembed.core.errors import InputError
from jaxembed.embed.sources import Pictures
from jaxembed.explore import copies
from jaxembed.explore.copies import Copies


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    os.utime(folder / "a/1.png", (10**9, 10**9))
    (tmp_path / "secret.png").touch()
    os.mkfifo(folder / "pipe.png")
    return Pictures(folder)


def test_originals_are_copied_under_their_names_with_their_dates(album, tmp_path):
    names, folder = ["a/1.png", "b/1.png", "b/2.png"], tmp_path / "out" / "best"
    made = Copies(album, names, folder)
    assert made.copy([0, 1]) == f"2 of 2 pictures copied into {folder}"
    assert [(folder / name).read_text() for name in names[:2]] == names[:2]
    assert (folder / "a/1.png").stat().st_mtime == 10**9
    (folder / "b/2.png").write_text("another")
    (folder / "b/2 (2).png").mkdir()
    assert made.copy([0, 1, 2]) == f"1 of 3 pictures copied into {folder}; 2 were there already"
    assert (folder / "b/2.png").read_text() == "another"
    assert (folder / "b/2 (3).png").read_text() == "b/2.png"
    assert all(album.file(name).read_text() == name for name in names)
    assert len([file for file in folder.rglob("*") if file.is_file()]) == 4


def test_what_cannot_be_copied_is_counted_and_named(album, tmp_path, monkeypatch):
    names, folder = ["../secret.png", "gone.png", "pipe.png", "a/1.png"], tmp_path / "out"
    text = Copies(album, names, folder).copy([0, 1, 2, 3])
    assert text.startswith(f"1 of 4 pictures copied into {folder}; 3 could not be copied (../secret.png: ")
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["1.png"]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    text = Copies(album, ["b/1.png"], folder).copy([0])
    assert text.endswith("1 could not be copied (b/1.png: No space left on device)")
    assert not list((folder / "b").iterdir())


def test_copies_are_outside_a_folder_of_pictures(album, tmp_path):
    for folder in (album.path, album.path / "a" / "new", tmp_path / "photos" / "a" / ".."):
        with pytest.raises(InputError, match="must be outside"):
            copies.check(album, folder)
    with pytest.raises(InputError, match="needs pictures in a folder"):
        copies.check(None, tmp_path / "out")
    copies.check(album, tmp_path / "photos2")
    copies.check(None, None)
