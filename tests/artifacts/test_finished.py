"""A finished run: read from its folder without jax, or named with what is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import finished_runs
import numpy as np
import pytest

from jaxembed.artifacts import finished, history, samples
from jaxembed.core.errors import InputError

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_a_run_and_a_report_on_it_are_read_without_jax(tmp_path):
    finished_runs.make(tmp_path / "run")
    code = "import sys\nimport jaxembed.artifacts.finished\nassert 'jax' not in sys.modules\n"
    code += f"from jaxembed.report import __main__\n__main__.main([{str(tmp_path / 'run')!r}, '--output=report'])\n"
    code += "print([name for name in ('jax', 'flax', 'optax', 'orbax') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["[]"], "")


def test_no_sample_and_a_damaged_one_are_named(tmp_path):
    with pytest.raises(InputError, match=r"has no sample\.npz; launch.py --evaluate writes it"):
        samples.read(tmp_path)
    (tmp_path / samples.FILE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"sample.npz is damaged"):
        samples.read(tmp_path)


def test_a_series_is_taken_from_the_lines_that_have_it(tmp_path):
    lines = [{"step": 1, "epoch": 0.5, "seconds": 1, "a": 2.0}, {"step": 2, "epoch": 1, "seconds": 2}]
    epochs, values = history.series(lines, "a")
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
        ("config.json", "{}", "it lacks data, encoder, objective, train, evaluate"),
        ("metrics.jsonl", None, "has no training in its metrics.jsonl"),
        ("metrics.jsonl", "", "has no training in its metrics.jsonl"),
        ("metrics.jsonl", "[1]\n", "has no training in its metrics.jsonl"),
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


@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [
        ("result.json", "train_seconds", None, "train_seconds must be a number, got None"),
        ("result.json", "versions", [], "versions must be an object in which each value is a text, got []"),
        ("result.json", "dataset", 5, "dataset must be a text, got 5"),
        ("result.json", "seed", True, "seed must be an integer, got True"),
        ("result.json", "epochs", 0, "epochs must be a number above 0, got 0"),
        ("result.json", "steps", 1e999, "steps must be an integer, at least 0, got inf"),
        ("result.json", "split", "../x", "split must be one of test, validation, train, got '../x'"),
        ("result.json", "parameters", {"head": 3}, "it lacks parameters.encoder"),
        ("result.json", "metrics", {"test/l1": "low"}, "metrics must be an object in which each value is a number"),
        ("config.json", "evaluate", {}, "it lacks evaluate.neighbours, evaluate.distance, evaluate.linear"),
        ("config.json", "evaluate.augmentation", {"turn": 3}, "evaluate.augmentation must be an object in which"),
        ("config.json", "train.batch_size", "8", "train.batch_size must be an integer, at least 0, got '8'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(file, path, value, message, tmp_path):
    finished_runs.make(tmp_path / "run")
    tree = section = json.loads((tmp_path / "run" / file).read_text())
    *sections, key = path.split(".")
    for name in sections:
        section = section[name]
    section[key] = value
    (tmp_path / "run" / file).write_text(json.dumps(tree))
    with pytest.raises(InputError) as error:
        finished.read(tmp_path / "run")
    assert message in str(error.value)
    assert str(tmp_path / "run" / file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": None}, "KeyError"),
        ({"points": np.float32(3)}, "points, float32 of shape [], does not fit"),
        ({"points": np.full((30, 2), np.nan, np.float32)}, "points must be finite"),
        ({"points": np.zeros((29, 2), np.float32)}, "points, float32 of shape [29, 2], does not fit"),
        ({"nearest": np.full((30, 5), 30)}, "nearest must be from 0 to 29"),
        ({"labels": np.full(30, 3)}, "labels must be from 0 to 2"),
        ({"labels": np.full(30, -1)}, "labels must be from 0 to 2"),
        ({"labels": None}, "it lacks labels"),
        ({"classes": np.arange(3)}, "classes are int64 rather than texts"),
        ({"confusion": np.zeros((2, 2), int)}, "confusion, int64 of shape [2, 2], does not fit"),
        ({"edges": np.zeros(3)}, "its edges must rise"),
        ({"queries": np.zeros((0, 9, 7, 1), np.uint8)}, "query_labels, int32 of shape [3], does not fit"),
        ({"seen": np.zeros((5, 0, 9, 7, 1), np.uint8)}, "seen is empty"),
        ({"originals": None}, "it lacks originals"),
    ],
)
def test_arrays_that_do_not_fit_together_are_named(changes, message, tmp_path):
    run = finished_runs.make(tmp_path / "run")
    samples.write(run.sample._replace(**changes), tmp_path / "run")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'run' / samples.FILE} is damaged")) as error:
        finished.read(tmp_path / "run")
    assert message in str(error.value)


def test_a_sample_without_labels_and_one_without_a_confusion_matrix_are_read(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    none = dict.fromkeys(samples.BY_LABEL)
    for changes in ({"confusion": None}, none | {"classes": np.array((), str)}):
        samples.write(run.sample._replace(**changes), tmp_path / "run")
        read = finished.read(tmp_path / "run").sample
        assert {name for name in samples.OPTIONAL if getattr(read, name) is None} == changes.keys() - {"classes"}


def test_the_results_in_the_repository_are_read(tmp_path):
    finished_runs.make(tmp_path / "run")
    results = sorted(RESULTS.glob("*/seed*.json"))
    assert len(results) > 50
    for file in results:
        (tmp_path / "run" / "result.json").write_text(file.read_text())
        assert finished.result(tmp_path / "run")["experiment"] == file.parent.name


def test_negative_deviation_is_damage(tmp_path):
    with pytest.raises(
        InputError, match=r"test/linear_accuracy_1_label_sd, a deviation, must be at least 0, got -1.0"
    ):
        finished_runs.make(tmp_path / "run", metrics={"linear_accuracy_1_label_sd": -1.0})
