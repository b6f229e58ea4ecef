"""metrics.jsonl: what can be read of it is, each line once, whatever happened to the file."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxembed.artifacts import history
from jaxembed.core import files


def line(step, **values):
    return {"step": step, "epoch": step / 2, "seconds": 1.5 * step} | (values or {"train/loss": 1 / step})


WHOLE = [line(2), line(4), line(4, **{"validation/loss": 0.5}), line(6)]


def written(file, lines):
    file.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    return file


def test_what_is_appended_is_read(tmp_path):
    file = tmp_path / "metrics.jsonl"
    history.write(file, WHOLE[:3])
    history.append(file, WHOLE[3])
    assert history.read(file) == WHOLE


def test_a_missing_file_is_empty(tmp_path):
    assert history.read(tmp_path / "metrics.jsonl") == []


def test_a_last_line_that_a_kill_cut_off_is_left_out_without_a_warning(tmp_path, caplog):
    file = written(tmp_path / "metrics.jsonl", WHOLE)
    with file.open("a") as stream:
        stream.write('{"step": 8, "epo')
    assert (history.read(file), caplog.text) == (WHOLE, "")


def test_a_number_that_is_not_finite_is_read(tmp_path):
    file = written(tmp_path / "metrics.jsonl", [line(2, **{"train/loss": np.nan}), line(4, **{"a": -np.inf})])
    assert [np.isnan(history.read(file)[0]["train/loss"]), history.read(file)[1]["a"]] == [True, -np.inf]


BAD = {
    "blank": "",
    "cut": '{"step": 3, "ep',
    "no object": "[2, 1.0]",
    "no step": '{"epoch": 1.0, "seconds": 3.0}',
    "a step that is no whole number": '{"step": 2.5, "epoch": 1.0, "seconds": 3.0}',
    "a step below 0": '{"step": -2, "epoch": 1.0, "seconds": 3.0}',
    "a time that is no number": '{"step": 3, "epoch": 1.0, "seconds": NaN}',
    "a loss that is text": '{"step": 3, "epoch": 1.0, "seconds": 3.0, "train/loss": "1.0"}',
    "a loss that is missing": '{"step": 3, "epoch": 1.0, "seconds": 3.0, "train/loss": null}',
    "a number that no array holds": '{"step": 3, "epoch": 1.0, "seconds": 3.0, "train/loss": 1' + 400 * "0" + "}",
    "brackets without end": 100_000 * "[",
    "the line before once more": json.dumps(WHOLE[0]),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_line_that_cannot_be_used_costs_no_other(text, tmp_path, caplog):
    file = written(tmp_path / "metrics.jsonl", [WHOLE[0], text, *WHOLE[1:]])
    assert history.read(file) == WHOLE
    assert f"{file}: 1 of 5 lines are damaged or repeated, and left out: 2" in caplog.text


def test_bytes_that_are_no_text_cost_one_line(tmp_path):
    file = written(tmp_path / "metrics.jsonl", WHOLE)
    content = file.read_bytes()
    for byte in (b"\xff", b"\x00", b"\x85", b"\r"):
        at = content.index(b'"train/loss"', 10)
        file.write_bytes(content[:at] + byte + content[at:])
        assert history.read(file) in (WHOLE[1:], WHOLE)


def test_many_damaged_lines_are_one_short_warning(tmp_path, caplog):
    file = written(tmp_path / "metrics.jsonl", 3000 * ["x"])
    assert history.read(file) == []
    assert caplog.text.endswith("3000 of 3000 lines are damaged or repeated, and left out: 1, 2, 3, 4, 5, …\n")


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        history.append(Path("/dev/full"), line(2))
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*/sample\.npz'"),
        files.replacing(tmp_path / "sample.npz"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
