"""Files that are written whole or not at all, whoever else writes them, and text that is safe to print."""

import contextlib
import os
import subprocess
import sys

import pytest

from jaxembed.core import files

HANGS = """
import sys, time
from pathlib import Path
from jaxembed.core import files
with files.replacing(Path(sys.argv[1])) as stream:
    stream.write(b"half")
    stream.flush()
    print("half", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


def test_of_two_writers_the_last_to_end_wins_and_nothing_is_mixed(file):
    with files.replacing(file) as first:
        first.write(b"first, which is longer")
        with files.replacing(file) as second:
            second.write(b"second")
        assert file.read_bytes() == b"second"
    assert file.read_bytes() == b"first, which is longer"
    assert os.listdir(file.parent) == ["file"]


def test_next_writer_removes_what_a_killed_one_left_and_nothing_else(file):
    others = [file.with_name(name) for name in ("file.partial", "file.0123.partial", "file.copy.partial")]
    for other in others:
        other.touch()
    process = subprocess.Popen([sys.executable, "-c", HANGS, file], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    with files.replacing(file):
        held = set(file.parent.iterdir()) - set(others)
    assert len(held) == 2  # its own, and the other's, which is still being written
    process.kill()
    process.wait()
    files.write_text(file, "whole")
    assert set(file.parent.iterdir()) == {file, *others}


def test_file_swept_before_it_was_locked_is_made_again(file, monkeypatch):
    lock = files.fcntl.flock

    def swept(stream, operation):
        monkeypatch.setattr(files.fcntl, "flock", lock)
        files.sweep(file.parent, file.name)
        lock(stream, operation)

    monkeypatch.setattr(files.fcntl, "flock", swept)
    files.write_text(file, "whole")
    assert file.read_text() == "whole"


def test_permissions_of_a_replaced_file_stay(file):
    file.touch()
    file.chmod(0o600)
    with files.replacing(file):
        modes = {each.stat().st_mode & 0o777 for each in file.parent.iterdir()}
    assert modes == {file.stat().st_mode & 0o777} == {0o600}


@pytest.mark.parametrize("there", [True, False])
def test_link_stays_and_its_target_is_replaced(there, file, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    if there:
        target.touch()
    file.symlink_to(target)
    files.write_text(file, "whole")
    assert (file.is_symlink(), target.read_text()) == (True, "whole")
    assert os.listdir(target.parent) == ["target"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda file: os.symlink(os.devnull, file)])
def test_nothing_but_a_file_is_replaced(make, file):
    make(file)
    with pytest.raises(OSError, match=rf"a (folder|device or a pipe) cannot be replaced by a file: '{file}'"):
        files.write_text(file, "")
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize("name", ["n" * 255, "中" * 85])
def test_unfinished_copy_has_a_name_that_is_short_enough(name, tmp_path):
    files.write_text(tmp_path / name, "whole")
    assert os.listdir(tmp_path) == [name]


def test_error_names_the_file_and_not_its_unfinished_copy(tmp_path):
    with pytest.raises(OSError, match=rf"No such file or directory: '{tmp_path}/no/file'$"):
        files.write_text(tmp_path / "no" / "file", "")


def test_abandoned_files_are_removed(file):
    with contextlib.suppress(FileNotFoundError), files.replacing(file):
        files.abandon()
        assert not os.listdir(file.parent)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udce9\x9b\u2066", "\\udce9\\x9b\\u2066"),
        ("two\r\n lines\x07", "two lines\\x07"),
    ],
)
def test_line_of_a_message_is_printable(text, printed):
    assert files.line(text) == printed
