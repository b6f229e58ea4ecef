"""What a program does now is one line on a terminal, and a line now and then elsewhere."""

import io
import sys

from jaxembed.cli import stages


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_one_line_which_is_gone_at_the_end(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    stages.begin("nothing")
    with stages.shown():
        stages.begin("a long stage")
        stages.begin("short")
    written = sys.stderr.getvalue()
    assert "nothing" not in written
    drawn = [line for line in written.split("\r") if line.strip()]
    assert [line.rstrip() for line in drawn] == ["evaluating: a long stage …"] * 2 + ["evaluating: short …"] * 2
    assert len(drawn[2]) == len(drawn[0])  # it covers what was there
    assert written.endswith(f"\r{' ' * len('evaluating: short …')}\r")
    assert capsys.readouterr().out == ""


def test_elsewhere_a_line_is_printed_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(stages.time, "monotonic", lambda: now[0])
    with stages.shown():
        for now[0], what in ((109.0, "one"), (111.0, "two"), (112.0, "three"), (122.0, "four")):
            stages.begin(what)
    assert capsys.readouterr().out == "evaluating: two\nevaluating: four\n"
