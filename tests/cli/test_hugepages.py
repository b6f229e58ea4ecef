"""Huge pages: asked for once, where there are any, and never against what the user says."""

import os
import subprocess
import sys

import pytest

from jaxembed.cli import hugepages

ASKED = "glibc.malloc.hugetlb=1"


@pytest.fixture
def started(monkeypatch):
    """The programs that are started instead of this one: their arguments and tunables."""
    programs = []
    monkeypatch.setattr(os, "execv", lambda path, argv: programs.append((argv, os.environ[hugepages.TUNABLES])))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr_names", {"CS_GNU_LIBC_VERSION": 2})
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.35")
    monkeypatch.delenv(hugepages.TUNABLES, raising=False)
    return programs


def test_the_program_starts_once_more_as_it_was_started(started, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-W", "error", "launch.py", "--config=a b.py"])
    hugepages.ask()
    hugepages.ask()
    assert started == [([sys.executable, "-W", "error", "launch.py", "--config=a b.py"], ASKED)]


def test_other_settings_stay(started, monkeypatch):
    monkeypatch.setenv(hugepages.TUNABLES, "glibc.malloc.check=1")
    hugepages.ask()
    assert [tunables for _, tunables in started] == [f"glibc.malloc.check=1:{ASKED}"]


def test_a_user_who_wants_none_gets_none(started, monkeypatch):
    monkeypatch.setenv(hugepages.TUNABLES, "glibc.malloc.hugetlb=0")
    hugepages.ask()
    assert started == []


@pytest.mark.parametrize("version", ["glibc 2.34", "glibc 2.9.1", "musl 1.2", None])
def test_a_library_without_them_is_left_alone(version, started, monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda name: version)
    hugepages.ask()
    assert started == []


@pytest.mark.parametrize("change", [("platform", "darwin"), ("executable", "")])
def test_where_a_program_cannot_be_started_so_it_is_left_alone(change, started, monkeypatch):
    monkeypatch.setattr(sys, *change)
    hugepages.ask()
    assert started == []


@pytest.mark.skipif(not hugepages._available(), reason="needs Linux and glibc 2.35")
def test_a_real_program_goes_on_with_them():
    code = "import os, sys; from jaxembed.cli import hugepages; hugepages.ask(); "
    code += "print(os.environ[hugepages.TUNABLES], sys.argv[1])"
    environment = {name: value for name, value in os.environ.items() if name != hugepages.TUNABLES}
    found = subprocess.run(
        [sys.executable, "-c", code, "an argument"], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{ASKED} an argument\n"
