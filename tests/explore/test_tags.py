"""Tags in a CSV file, which others write as well."""

import csv
import io
import threading

import pytest

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.explore import tags
from jaxembed.explore.tags import Tags

NAMES = ["b/2.png", "=1+1.png", "'quoted'.png", "a\nb.png", 'with "quotes", commas.png', "\udcff.png", "b/2.png"]


def test_tags_are_kept_by_name_in_a_table_that_spreadsheets_read(tmp_path):
    file = tmp_path / "v.tags.csv"
    kept = Tags(file, NAMES)
    assert kept.rows() == {}
    assert not file.exists()
    assert kept.add("sunset", [0, 1, 2, 3, 4, 5]) == 6
    assert kept.add("=SUM(A1)", [1]) == 1
    assert kept.add("sunset", [0, 1]) == 0
    expected = {"=SUM(A1)": [1], "sunset": [0, 1, 2, 3, 4, 5, 6]}  # two pictures have the same name
    assert kept.rows() == expected
    lines = list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))
    assert lines[:3] == [["name", "tag"], ["b/2.png", "sunset"], ["'=1+1.png", "sunset"]]
    assert lines[-1] == ["'=1+1.png", "'=SUM(A1)"]
    assert kept.remove("sunset", [0, 5]) == 2
    assert kept.remove("sunset", [0, 5]) == 0
    # After `embed --update` the rows are others, and one picture is gone, and comes again.
    assert Tags(file, ["new.png", *NAMES[1:4]]).rows() == {"=SUM(A1)": [1], "sunset": [1, 2, 3]}
    assert Tags(file, NAMES).rows()["sunset"] == [1, 2, 3, 4]


def test_what_others_write_meanwhile_stays(tmp_path):
    file = tmp_path / "v.tags.csv"
    first, second = Tags(file, NAMES), Tags(file, NAMES)
    first.add("one", [0])
    second.add("two", [0, 1])
    with file.open("a") as stream:  # as a person does, in an editor
        stream.write("elsewhere.png,three\n=1+1.png,three\n\n")
    first.remove("two", [0])
    assert second.rows() == {"one": [0, 6], "three": [1], "two": [1]}
    assert "elsewhere.png,three" in file.read_text()
    file.write_bytes(b"\xef\xbb\xbfname,tag\r\n" + file.read_bytes().partition(b"\n")[2])  # as a spreadsheet does
    assert first.rows() == second.rows()
    assert len(first.rows()) == 3


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"name;tag\nb/2.png;x\n", "the first line must be name,tag, got name;tag"),
        (b"b/2.png,x\n", "the first line must be name,tag, got b/2.png,x"),
        (b"name,tag\na,x\nb/2.png,x,y\n", "entry 3 must be a name and a tag, got b/2.png,x,y"),
        (b"name,tag\nb/2.png,\n", "entry 2 must be a name and a tag, got b/2.png,"),
        (b"name,tag\nb/2.png, x\n", "a tag must be one line of at most 60 characters, got ' x'"),
        (b'name,tag\n"b/2.png,x\n', "unexpected end of data"),
        (b"\xff\xfen\0a\0m\0e\0", "codec can't decode byte 0xff"),
    ],
)
def test_a_malformed_file_is_one_line_and_stays_as_it_is(content, error, tmp_path):
    file = tmp_path / "v.tags.csv"
    file.write_bytes(content)
    kept = Tags(file, NAMES)
    for act in (lambda: tags.read(file), lambda: kept.add("x", [0]), lambda: kept.remove("x", [0])):
        with pytest.raises(InputError, match=r"v\.tags\.csv does not hold tags: ") as raised:
            act()
        assert error in str(raised.value)
        assert "\n" not in str(raised.value)
    assert error in kept.change([0], "add", "x")["text"]
    assert file.read_bytes() == content


@pytest.mark.parametrize("tag", ["", " x", "x\ny", "x" * 61, "a\u202eb"])
def test_a_text_that_cannot_be_a_tag_is_a_line(tag, tmp_path):
    shown = Tags(tmp_path / "v.tags.csv", NAMES).change([0], "add", tag)
    assert shown["text"].startswith("a tag must be one line of at most 60 characters, got ")
    assert shown["text"].isprintable()
    assert not list(tmp_path.iterdir())


def test_tags_that_cannot_be_written_are_a_line(tmp_path):
    for file in (tmp_path / "gone" / "v.tags.csv", tmp_path):
        assert "; use a different --tags=FILE" in Tags(file, NAMES).change([0], "add", "x")["text"]


def test_servers_take_turns(tmp_path, monkeypatch):
    file = tmp_path / "v.tags.csv"
    write, other = files.write_text, threading.Thread(target=Tags(file, NAMES).add, args=["two", [0]])

    def slow(*given):
        if not other.ident:
            other.start()
            other.join(0.3)
            assert other.is_alive()  # it waits
        write(*given)

    monkeypatch.setattr(files, "write_text", slow)
    first = Tags(file, NAMES)
    first.add("one", [0])
    other.join(20)
    assert sorted(first.rows()) == ["one", "two"]
