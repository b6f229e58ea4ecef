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


def test_program_restarts_with_the_same_arguments(started, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-W", "error", "launch.py", "--config=a b.py"])
    hugepages.ask()
    hugepages.ask()
    assert started == [([sys.executable, "-W", "error", "launch.py", "--config=a b.py"], ASKED)]


def test_other_settings_stay(started, monkeypatch):
    monkeypatch.setenv(hugepages.TUNABLES, "glibc.malloc.check=1")
    hugepages.ask()
    assert [tunables for _, tunables in started] == [f"glibc.malloc.check=1:{ASKED}"]


def test_users_can_disable_huge_pages(started, monkeypatch):
    monkeypatch.setenv(hugepages.TUNABLES, "glibc.malloc.hugetlb=0")
    hugepages.ask()
    assert started == []


@pytest.mark.parametrize("version", ["glibc 2.34", "glibc 2.9.1", "musl 1.2", None])
def test_library_without_huge_pages_is_not_restarted(version, started, monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda name: version)
    hugepages.ask()
    assert started == []


@pytest.mark.parametrize("change", [("platform", "darwin"), ("executable", "")])
def test_program_that_cannot_be_restarted_is_not_restarted(change, started, monkeypatch):
    monkeypatch.setattr(sys, *change)
    hugepages.ask()
    assert started == []


@pytest.mark.skipif(not hugepages._available(), reason="needs Linux and glibc 2.35")
def test_real_program_runs_with_huge_pages():
    code = "import os, sys; from jaxembed.cli import hugepages; hugepages.ask(); "
    code += "print(os.environ[hugepages.TUNABLES], sys.argv[1])"
    environment = {name: value for name, value in os.environ.items() if name != hugepages.TUNABLES}
    found = subprocess.run(
        [sys.executable, "-c", code, "an argument"], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{ASKED} an argument\n"
