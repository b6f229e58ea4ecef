"""Progress: a bar on a terminal, plain lines elsewhere."""

import io
import sys

import pytest

from jaxembed.train import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def show(step: int, made: progress.Progress) -> None:
    rate = {"images_per_second": 1234.5, "share_of_peak": 0.25}
    made.show(step, seconds=float(step), loss=0.5, rate=rate)


def test_a_terminal_has_a_bar_and_lines_above_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    made = progress.Progress(epochs=4, steps_per_epoch=5, step=10)
    show(15, made)
    made.bar.refresh()
    made.validated(15, {"validation/loss": 0.25, "validation/knn_accuracy": 0.5})
    made.close()
    drawn = sys.stderr.getvalue()
    assert "epoch 3.0/4 |" in drawn
    assert "| 15/20 steps, " in drawn
    assert "loss 0.5000, 1,234 images/s (25% of peak)" in drawn
    assert capsys.readouterr().out == "epoch 3/4 on validation: loss 0.2500, knn_accuracy 0.5000\n"


@pytest.mark.parametrize(("patience", "steps"), [(0.0, [5, 20]), (1e9, [20])])
def test_elsewhere_a_line_is_printed_now_and_then_and_at_the_end(patience, steps, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", patience)
    made = progress.Progress(epochs=4, steps_per_epoch=5, step=0)
    for step in (5, 20):
        show(step, made)
    lines = [
        f"epoch {s / 5:.1f}/4, step {s}/20: loss 0.5000, 1,234 images/s (25% of peak), {20 - s} s left"
        for s in steps
    ]
    assert capsys.readouterr().out.splitlines() == lines
