"""Commands: arguments that are paths, outputs that cannot be written, and text that reaches a terminal."""

import functools
import io
import os
from pathlib import Path

import pytest

from jaxembed import export, search
from jaxembed.cli import command, streams
from jaxembed.core.errors import InputError
from jaxembed.doctor import __main__ as doctor
from jaxembed.embed import __main__ as embed
from jaxembed.explore import __main__ as explore
from jaxembed.measure import __main__ as measure
from jaxembed.report import __main__ as report

PROGRAMS = {
    "doctor": (doctor, ("~/run", "~/in", "--output=~/out", "--data_dir=~/data")),
    "embed": (embed, ("~/run", "~/in", "--output=~/out", "--data_dir=~/data")),
    "explore": (explore, ("~/run", "~/in", "--data_dir=~/data")),
    "export": (export, ("~/run", "--format=onnx", "--output=~/out")),
    "measure": (
        measure,
        ("~/in", "--workdir=~/out", "--on=~/on", "--like=~/run", "--dataset=~/a", "--data_dir=~/data"),
    ),
    "report": (report, ("~/run", "~/in", "--output=~/out")),
    "search": (search, ("~/run", "~/in", "~/image", "--output=~/out", "--data_dir=~/data")),
}


class Parsed(Exception):
    """Raised instead of what a command does with its arguments."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_home_directory_is_known_in_every_path(name, tmp_path, monkeypatch):
    module, arguments = PROGRAMS[name]
    found = {}
    parser = command.argparse.ArgumentParser
    parses = {name: getattr(parser, name) for name in ("parse_args", "parse_intermixed_args")}

    def parsed(self, given, *, by):
        found.update(vars(parses[by](self, given)))
        raise Parsed

    monkeypatch.setenv("HOME", str(tmp_path))
    for method in parses:
        monkeypatch.setattr(parser, method, functools.partialmethod(parsed, by=method))
    with pytest.raises(Parsed):
        module.main(arguments)
    text = str([value if isinstance(value, list) else [value] for value in found.values()])
    assert "~" not in text
    assert text.count(str(tmp_path)) == len([each for each in arguments if "~" in each])


def test_empty_path_is_not_the_working_directory():
    for kind in (command.path, command.source):
        with pytest.raises(InputError, match="a path must not be empty"):
            kind("")


@pytest.mark.parametrize("argument", ["./digits", "digits", "a//b", "C~1"])
def test_argument_without_a_home_directory_is_left_as_it_is(argument):
    assert command.source(argument) == argument


OUTPUTS = {
    os.devnull: "--output /dev/null is a device or a pipe",
    "pipe": "is a device or a pipe",
    "folder": "is a folder",
    "no/file": "cannot be written: folder no does not exist",
    "file": "exists; use --overwrite to replace it",
    "link": "cannot be written: folder .*/no does not exist",
    "n" * 256: "File name too long",
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_output_that_cannot_be_written_is_refused_at_once(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("file").touch()
    Path("link").symlink_to("no/target")
    with pytest.raises((InputError, OSError), match=OUTPUTS[output]):
        command.check_output(Path(output), overwrite=False)


def test_output_folder_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/out cannot be written: .*/file is not a folder"):
        command.check_folder(tmp_path / "file" / "out")
    command.check_folder(tmp_path / "new" / "out")


def test_control_characters_reach_no_stream(capsys):
    def main(_):
        print("\x1b]0;title\x07", "\u202e\x9b2J", "\rover", end="\n\n")
        raise InputError("name\r\n\x1b[2J\x08")

    assert command.run("x", main) == 2
    out, err = capsys.readouterr()
    assert out == "\\x1b]0;title\\x07 \\u202e\\x9b2J \\rover\n\n"
    assert err == "x: name \\x1b[2J\\x08\n"


def test_progress_bar_may_return_to_the_start_of_a_terminals_line():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    streams.Escaped(terminal).write("\r 50%\r\x1b[A")
    assert terminal.getvalue() == "\r 50%\\r\\x1b[A"


def test_command_prints_to_a_stream_that_is_only_written_to(monkeypatch):
    class Notebook:
        text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    notebook = Notebook()
    monkeypatch.setattr(command.sys, "stdout", notebook)
    assert command.run("x", lambda _: print("said")) == 0
    assert notebook.text == "said\n"
