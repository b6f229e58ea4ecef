"""A finished run: read from its folder without jax, or named with what is wrong."""

import subprocess
import sys

import finished_runs
import pytest

from jaxembed.errors import InputError
from jaxembed.runs import finished, metrics, sample


def test_a_run_and_a_report_on_it_are_read_without_jax(tmp_path):
    finished_runs.make(tmp_path / "run")
    code = "import sys\nimport jaxembed.runs.finished\nassert 'jax' not in sys.modules\n"
    code += f"from jaxembed.report import __main__\n__main__.main([{str(tmp_path / 'run')!r}, '--output=report'])\n"
    code += "print([name for name in ('jax', 'flax', 'optax', 'orbax') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["[]"], "")


def test_no_sample_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(InputError, match=r"has no sample\.npz; launch.py --evaluate writes it"):
        sample.read(tmp_path)
    (tmp_path / sample.FILE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"sample.npz is damaged"):
        sample.read(tmp_path)


def test_a_series_is_taken_from_the_lines_that_have_it(tmp_path):
    lines = [{"step": 1, "epoch": 0.5, "seconds": 1, "a": 2.0}, {"step": 2, "epoch": 1, "seconds": 2}]
    epochs, values = metrics.series(lines, "a")
    assert (epochs.tolist(), values.tolist()) == ([0.5], [2.0])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", None, "is not a run's folder: it has no config.json"),
        ("result.json", None, "holds an unfinished run: it has no result.json"),
        ("result.json", '{"experiment"', "result.json is damaged: Expecting ':' delimiter"),
        ("result.json", "[1]", "result.json is damaged: it must hold an object, got list"),
        (
            "result.json",
            '{"experiment": "x"}',
            "result.json is damaged, or from an earlier version: it lacks command",
        ),
        ("config.json", "{}", "config.json is damaged: it lacks data, encoder, objective, train, evaluate"),
        ("metrics.jsonl", None, "has no training in its metrics.jsonl"),
        ("metrics.jsonl", "", "has no training in its metrics.jsonl"),
        ("metrics.jsonl", '{"step": 1\n{}\n', "metrics.jsonl is damaged in line 1: Expecting ',' delimiter"),
        ("metrics.jsonl", "[1]\n", "metrics.jsonl is damaged in line 1: it must hold step, epoch and seconds"),
        ("sample.npz", None, "has no sample.npz; launch.py --evaluate writes it"),
    ],
)
def test_a_folder_that_cannot_be_read_is_named(file, text, message, tmp_path):
    finished_runs.make(tmp_path / "run")
    (tmp_path / "run" / file).unlink()
    if text is not None:
        (tmp_path / "run" / file).write_text(text)
    with pytest.raises(InputError) as error:
        finished.read(tmp_path / "run")
    assert message in str(error.value)
    assert str(tmp_path / "run") in str(error.value)
