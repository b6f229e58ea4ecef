"""Signals: they end a program in one line, wherever it is, and leave nothing half-written."""

import os
import signal
import sys
import threading

import pytest

from jaxembed.cli import signals
from jaxembed.core import files


class Ended(BaseException):
    """What ends a process in these tests; its argument is the status."""


@pytest.fixture
def begun(monkeypatch):
    """This process as a program that has begun, with the handlers of a fresh one."""

    def end(status):
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(signals.atexit, "register", lambda function: None)
    before = {number: signal.getsignal(number) for number in signals.SAVING}
    signals.begin("program", "is ended")
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", signals.SAVING)
def test_signal_ends_a_program_in_one_line_and_leaves_nothing_half_written(number, begun, tmp_path, capfd):
    def work():
        with files.replacing(tmp_path / "file"):
            assert len(os.listdir(tmp_path)) == 1
            try:
                signal.raise_signal(number)
            finally:
                assert not os.listdir(tmp_path)

    with pytest.raises(Ended) as ended:
        work()
    assert ended.value.args == (128 + number,)
    assert capfd.readouterr().err == "program: is ended\n"


def test_second_signal_ends_a_program_that_waits_for_its_output(begun, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stdout", type("Full", (), {"flush": lambda _: signal.raise_signal(signal.SIGTERM)})())
    with pytest.raises(Ended) as ended:
        signal.raise_signal(signal.SIGINT)
    assert ended.value.args == (128 + signal.SIGTERM,)


def test_blocked_signal_is_delivered_once_the_program_begins(begun):
    signals.block()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    with pytest.raises(Ended):
        signals.begin("program")


def test_signals_do_not_disturb_the_end_of_a_program(begun):
    signals._ignore()
    for number in signals.SAVING:
        signal.raise_signal(number)


@pytest.mark.parametrize(
    ("argv", "started", "program"),
    [
        (["-m", "a", "b"], ["python", "-m", "jaxembed.embed", "a", "b"], "embed"),
        (["-m"], ["python", "-W", "error", "-mjaxembed.report"], "report"),
        (["-m", "jaxembed.embed"], ["python", "-m", "pytest", "jaxembed.embed"], None),
        (["/bin/pytest", "jaxembed.embed"], ["python", "-m", "pytest", "jaxembed.embed"], None),
        ([""], ["python"], None),
    ],
)
def test_only_a_program_of_ours_begins_with_the_package(argv, started, program, monkeypatch):
    begun = []
    monkeypatch.setattr(signals, "begin", begun.append)
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", started)
    signals.begin_module()
    assert begun == ([program] if program else [])
