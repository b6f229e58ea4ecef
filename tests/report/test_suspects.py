"""What embeddings find suspicious together, and what they are worth on other datasets."""

import json
import shutil

import finished_runs
import numpy as np
import pytest

from jaxembed.artifacts import finished
from jaxembed.artifacts.diagnosis import Table
from jaxembed.report import __main__ as command
from jaxembed.report import experiments, suspects, transfer

pytestmark = pytest.mark.usefixtures("blank_figures")


def run(folder, name, **options):
    return finished_runs.make(folder / name, experiment=name, **options)


def outliers(run, names, images=2):
    table = Table(
        np.array([[name] for name in names]),
        np.zeros((len(names), 1), int),
        {"remoteness": np.ones(len(names), np.float32)},
        np.stack([np.full((1, 9, 7, 1), 10 * i, np.uint8) for i in range(images)]) if images else None,
    )
    return run._replace(diagnosis=run.diagnosis._replace(tables={"outliers": table}))


def listed(*runs):
    return suspects.listed([experiments.Experiment(run.record["experiment"], (run,)) for run in runs])


def test_suspects_are_ranked_by_votes_and_then_by_position(tmp_path):
    one, two = (run(tmp_path, name) for name in ("one", "two"))
    [group] = listed(outliers(one, "abc"), outliers(two, "db"))
    assert group.title == "Outliers"
    # b is second twice, a first and d first once; what is missing counts as the hundredth.
    # c, of which no picture was kept, is not shown among pictures.
    assert [each.names for each in group.suspects] == [("b",), ("a",), ("d",)]
    assert [each.by for each in group.suspects] == ["2 of 2 embeddings", *["1 of 2 embeddings"] * 2]
    # The images are those of the table in which it comes first.
    assert group.suspects[1].images[0].max() == 0


def test_picture_is_taken_from_any_table_that_has_it_and_without_any_names_are_listed(tmp_path):
    one, two = (run(tmp_path, name) for name in ("one", "two"))
    [group] = listed(outliers(one, "ab", images=0), outliers(two, "ba", images=2))
    assert [(each.names, len(each.images)) for each in group.suspects] == [(("a",), 1), (("b",), 1)]
    [group] = listed(outliers(one, "ab", images=0))
    assert [(each.names, each.images) for each in group.suspects] == [(("a",), ()), (("b",), ())]


def test_reversed_pair_is_the_same_suspect_and_labels_are_compared(tmp_path):
    one, two = (run(tmp_path, name) for name in ("one", "two"))
    leaks = two.diagnosis.tables["leaks"]
    turned = leaks._replace(names=leaks.names[:, ::-1])
    two = two._replace(diagnosis=two.diagnosis._replace(tables=two.diagnosis.tables | {"leaks": turned}))
    group = listed(one, two)[0]
    assert group.title == "Near-duplicates in two splits"
    assert len(group.suspects) == 3
    assert group.suspects[0].verdict == "cat & <dog> and sea"
    assert listed(one)[2].suspects[0].verdict == "sky, or cat & <dog>?"
    assert listed(one)[2].suspects[0].by == ""


def test_runs_of_an_earlier_version_have_no_suspects(tmp_path):
    old = run(tmp_path, "old")
    (old.folder / "diagnosis.npz").unlink()
    assert listed(finished.read(old.folder)) == []


@pytest.fixture
def moved(tmp_path):
    """Two runs on one dataset, and one of them measured on that of a third."""
    folder = tmp_path / "runs"
    made = [
        run(folder, "one", dataset="a"),
        run(folder, "two", dataset="a", latent=5),
        run(folder, "three", dataset="b"),
    ]
    target = folder / "one-on-b"
    shutil.copytree(made[0].folder, target)
    record = json.loads((target / "result.json").read_text()) | {"dataset": "b", "trained_on": "a"}
    for name in finished.TRAINED:
        record.pop(name, None)
    record["metrics"]["test/knn_accuracy"] = 0.4321
    (target / "result.json").write_text(json.dumps(record))
    (target / "metrics.jsonl").unlink()
    config = json.loads((target / "config.json").read_text())
    config["data"] = {"name": "b", "trained_on": {"name": "a"}}
    (target / "config.json").write_text(json.dumps(config))
    return folder


def test_encoder_measured_on_another_dataset_has_a_row_with_both(moved, tmp_path):
    runs, problems = command.collect([moved])
    assert problems == []
    matrix, linear = transfer.matrices(experiments.group(runs))
    assert (matrix.caption, matrix.columns) == ("kNN %", ["a", "b"])
    assert matrix.rows == [("one", "a", ["80.00", "43.21"])]
    assert linear.rows == [("one", "a", ["70.00", "70.00"])]


def test_without_such_a_measurement_there_is_no_matrix(tmp_path):
    assert transfer.matrices(experiments.group([run(tmp_path, "one"), run(tmp_path, "two", dataset="b")])) == []


def test_transfer_matrix_is_in_all_documents(moved, tmp_path):
    assert command.main([str(moved), f"--output={tmp_path / 'out'}"]) == 0
    text, page = ((tmp_path / "out" / f"report.{end}").read_text() for end in ("md", "html"))
    assert "| one | a | 80.00 | 43.21 |" in text
    assert "one (trained on a)" in text
    assert "Suspicious images" in text
    assert 'id="transfer"' in page
    assert page.count('class="suspects"') == 8  # of both datasets
