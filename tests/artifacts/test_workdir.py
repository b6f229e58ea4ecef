"""A run's folder: one process at a time, one run."""

import errno
import fcntl
import os

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
