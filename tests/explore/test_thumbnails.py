"""Thumbnails on the disk."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from jaxembed.embed import sources
from jaxembed.explore import thumbnails
from jaxembed.explore.thumbnails import Thumbnails


class Counted(sources.Pictures):
    """Pictures that count how often one is read."""

    read = 0

    def picture(self, name):
        self.read += 1
        return super().picture(name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "p").mkdir()
    Image.fromarray(np.zeros((500, 300, 3), np.uint8)).save(tmp_path / "p" / "a.png")
    return tmp_path / "p"


def test_a_thumbnail_is_drawn_once_until_its_file_changes(folder, cache):
    album = Counted(folder)
    first = Thumbnails(album, ["a.png"]).draw(0)
    assert Image.open(io.BytesIO(first)).size == (134, 224)
    assert Thumbnails(album, ["a.png"]).draw(0) == first
    assert album.read == 1
    os.utime(folder / "a.png", (2, 2))
    assert Thumbnails(album, ["a.png"]).draw(0) == first
    assert album.read == 2
    Image.new("RGB", (400, 400), "red").save(folder / "a.png")
    os.utime(folder / "a.png", (1, 1))
    assert Image.open(io.BytesIO(Thumbnails(album, ["a.png"]).draw(0))).size == (224, 224)
    assert list(cache.rglob("*.webp"))
    (folder / "a.png").unlink()
    with pytest.raises(OSError, match=r"a\.png"):
        Thumbnails(album, ["a.png"]).draw(0)


def test_without_a_place_for_the_cache_thumbnails_are_drawn_each_time(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    album = Counted(folder)
    small = Thumbnails(album, ["a.png"])
    small.make_room()
    assert small.draw(0) == small.draw(0)
    assert album.read == 2


def test_of_too_many_thumbnails_those_of_the_folder_used_longest_ago_are_removed(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = []
    for number in range(3):
        other = tmp_path / f"other{number}"
        other.mkdir()
        os.link(folder / "a.png", other / "a.png")
        small = Thumbnails(sources.Pictures(other), ["a.png"])
        size = len(small.draw(0))
        os.utime(small.cache, (number, number))
        kept.append(small.cache)
    monkeypatch.setattr(thumbnails, "MOST", 2 * size)
    small.make_room()
    assert [each.exists() for each in kept] == [False, True, True]
