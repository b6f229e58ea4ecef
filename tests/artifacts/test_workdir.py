"""A run's folder: one process at a time, one run."""

import contextlib
import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from jaxembed.artifacts import workdir
from jaxembed.core.errors import InputError

CONFIG = ConfigDict({"seed": 0, "encoder": {"latent": 16}, "train": {"epochs": 2, "log_every": 5}})


@pytest.mark.parametrize("left", ["metrics.jsonl", "checkpoint/5/_METADATA", "result.json"])
def test_the_remains_of_a_run_without_its_config_are_not_resumed(left, tmp_path):
    (tmp_path / left).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / left).write_text("{}")
    with pytest.raises(InputError, match=r"holds a run without its config.json"):
        workdir.check(CONFIG, workdir.read_config(tmp_path), tmp_path)


def test_a_folder_in_which_nothing_was_trained_is_free(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "config.json").write_text(ConfigDict(CONFIG.to_dict() | {"seed": 9}).to_json())
    workdir.check(CONFIG, workdir.read_config(tmp_path), tmp_path)


def test_a_folder_is_for_one_process_at_a_time(tmp_path):
    held = pytest.raises(InputError, match="is in use by another run")
    with workdir.opened(tmp_path), held, workdir.opened(tmp_path):
        pass
    with workdir.opened(tmp_path):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=r"cannot be locked: No locks available"), workdir.opened(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "run"
    refused = pytest.raises(InputError, match=r"--workdir .*/file/run cannot be written: Not a directory")
    with refused, workdir.opened(folder):
        pass


class Killed(BaseException):
    """Ends a process before one of the moves that it makes."""


# The moves are: result.json and labels.csv are removed, four files take their names.
@pytest.mark.parametrize("moves", range(7))
def test_killed_evaluation_leaves_the_one_before_none_or_the_new_one(moves, tmp_path, monkeypatch):
    def contents():
        return {file.name: file.read_text() for file in tmp_path.rglob("*.*") if ".new" not in file.parts}

    def write(folder, text):
        (folder / "doctor").mkdir(exist_ok=True)
        for name in ("config.json", "result.json", "sample.npz", "doctor/leaks.csv"):
            (folder / name).write_text(text)

    def counted(move):
        def count(*arguments, **options):
            if next(left, None) is None:
                raise Killed
            return move(*arguments, **options)

        return count

    write(tmp_path, "old")
    (tmp_path / "doctor" / "labels.csv").write_text("old")
    old, left = contents(), iter(range(moves))
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process does not tidy up
        with workdir.renewed(tmp_path, stale=[tmp_path / "doctor" / "labels.csv"]) as opened:
            write(opened, "new")
    if moves in (0, 6):
        assert contents() == (old if moves == 0 else dict.fromkeys(old.keys() - {"labels.csv"}, "new"))
    else:
        assert "result.json" not in contents()
    with workdir.opened(tmp_path):
        assert not (tmp_path / ".new").exists()


def test_evaluation_that_cannot_be_written_leaves_the_one_before(tmp_path):
    (tmp_path / "result.json").write_text("old")
    with contextlib.suppress(Killed), workdir.renewed(tmp_path, stale=[]) as opened:
        (opened / "result.json").write_text("new")
        raise Killed
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "old"


@pytest.mark.parametrize(
    "path", ["photos", "./photos", "photos/", "../here/photos", "{cwd}/photos", "link", "~/photos"]
)
def test_a_path_is_the_same_however_it_is_written(path, tmp_path, monkeypatch):
    (tmp_path / "here" / "photos").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    for data in (lambda path: {"name": "folder", "path": path}, lambda path: {"of": {"path": path}}):
        there = CONFIG.to_dict() | {"data": data("photos")}
        config = ConfigDict(CONFIG.to_dict() | {"data": data(path.format(cwd=tmp_path / "here"))})
        workdir.check(config, there, tmp_path)
        with pytest.raises(InputError, match=r"path is '.*/here/other' there, '.*/here/photos' here"):
            workdir.check(config, CONFIG.to_dict() | {"data": data("other")}, tmp_path)


@pytest.mark.parametrize("content", ['{"evaluate": []}', '{"data": 3}', "[" * 100_000, "[]"])
def test_config_that_is_damaged_is_one_line(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError, match=r"config.json is damaged"):
        workdir.read_config(tmp_path)
