"""Streams: whatever a program's input, output and error are connected to, it runs to its end."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from jaxembed.cli import streams
streams.prepare()
streams.outlive()
with open("file", "w", encoding="utf-8") as file:
    print("2 × 3", flush=True)
    print("said", chr(0xDCFF), file=sys.stderr)
    for _ in range(50):
        print("more", flush=True)
    file.write("whole")
with open("ended", "w", encoding="utf-8"):
    pass
"""


def ended(tmp_path, redirection, **variables):
    """Run the program in a shell: (status, output, error)."""
    shell = ["bash", "-c", f'exec "$@" {redirection}', "bash", sys.executable, "-c", PROGRAM]
    variables = os.environ | {"PYTHONPATH": os.getcwd()} | variables
    done = subprocess.run(shell, capture_output=True, check=False, cwd=tmp_path, env=variables)
    assert (tmp_path / "file").read_text() == "whole"
    assert (tmp_path / "ended").exists()
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_closed_or_full_stream_does_not_end_the_program(redirection, tmp_path):
    status, out, err = ended(tmp_path, redirection)
    assert status == 0
    assert b"Traceback" not in err
    if redirection.startswith("2"):
        assert out.startswith("2 × 3\nmore\n".encode())


def test_reader_that_leaves_does_not_end_the_program(tmp_path):
    assert ended(tmp_path, "> >(head -1)")[0] == 0


def test_text_that_an_encoding_lacks_is_escaped(tmp_path):
    status, out, err = ended(tmp_path, "", PYTHONIOENCODING="ascii")
    assert (status, out[:10], err) == (0, b"2 \\xd7 3\nm", b"said \\udcff\n")


def test_text_in_utf_8_is_written_unchanged(tmp_path):
    assert ended(tmp_path, "", PYTHONIOENCODING="utf-8")[1].startswith("2 × 3\n".encode())
