"""The report: what is compared with what, what is marked as the best, and what is left out and said."""

import math
import re

import finished_runs
import pytest

from jaxembed import report
from jaxembed.report import __main__ as command
from jaxembed.report import experiments, findings, markdown, measures, page

NAMES = {f"{name}_rows.png" for name in ("embedding_comparison", "distance_comparison", "learning_curves")}


@pytest.fixture
def runs(tmp_path):
    """Two experiments on one dataset, one of them with three seeds, and a third on another dataset."""
    folders = tmp_path / "runs"
    accuracies = {0: 0.80, 1: 0.83, 2: 0.86}
    made = [
        finished_runs.make(folders / f"one{seed}", seed=seed, metrics={"knn_accuracy": accuracy})
        for seed, accuracy in accuracies.items()
    ]
    made.append(finished_runs.make(folders / "two", experiment="two", latent=8, metrics={"cdnv": None}))
    made.append(finished_runs.make(folders / "three", experiment="three", dataset="b/other", shape=(9, 7, 3)))
    return made


def grouped(runs):
    return experiments.group(runs)


def test_runs_that_differ_in_the_seed_alone_are_one_experiment(runs):
    assert {dataset: [each.name for each in found] for dataset, found in grouped(runs).items()} == {
        "rows": ["one", "two"],
        "b/other": ["three"],
    }
    value = grouped(runs)["rows"][0].value("test/knn_accuracy")
    assert value == pytest.approx((0.83, 0.03, 3))
    assert math.isnan(grouped(runs)["rows"][1].value("test/knn_accuracy").sd)


def test_one_name_with_two_configs_is_two_experiments_named_by_what_differs(tmp_path):
    wide = finished_runs.make(tmp_path / "wide", latent=64)
    narrow = finished_runs.make(tmp_path / "narrow", latent=4, seed=1)
    names = [each.name for each in grouped([wide, narrow])["rows"]]
    assert names == ["one (encoder.latent=64)", "one (encoder.latent=4)"]


@pytest.mark.parametrize(("better", "best"), [(1, {"two"}), (-1, {"one"}), (0, set())])
def test_the_best_is_marked_as_the_measure_says(better, best, tmp_path):
    runs = [
        finished_runs.make(tmp_path / name, experiment=name, metrics={"cdnv": value})
        for name, value in (("one", 0.2), ("two", 0.3), ("none", None))
    ]
    measure = measures.Measure("cdnv", "CDNV", better, False, "")
    assert measure.best(grouped(runs)["rows"]) == best


def test_values_are_shown_with_their_deviation_or_as_a_dash(runs):
    one, two = grouped(runs)["rows"]
    knn, *_ = measures.ACCURACIES
    cdnv = next(measure for measure in measures.GEOMETRY if measure.name == "cdnv")
    assert knn.show(one.value("test/knn_accuracy")) == "83.00 ± 3.00"
    assert knn.show(two.value("test/knn_accuracy")) == "80.00"
    assert cdnv.show(two.value("test/cdnv")) == "–"
    assert knn.head == "kNN % ↑"


def test_a_measure_that_no_run_has_is_no_column(runs):
    names = [measure.name for measure in measures.tables(grouped(runs)["rows"])[0].columns]
    assert "knn_accuracy" in names
    assert "accuracy" not in names


def test_a_difference_counts_from_two_standard_errors_on(tmp_path):
    # Standard deviations of 0.01 over 2 seeds: an error of the difference of 0.01.
    def pair(name, mean):
        return [
            finished_runs.make(
                tmp_path / f"{name}{mean}{seed}", experiment=name, seed=seed, metrics={"knn_accuracy": mean + shift}
            )
            for seed, shift in enumerate((-0.01 / math.sqrt(2), 0.01 / math.sqrt(2)))
        ]

    near = findings.sentences("rows", grouped([*pair("a", 0.7), *pair("b", 0.719)])["rows"])[0]
    far = findings.sentences("rows", grouped([*pair("c", 0.7), *pair("d", 0.721)])["rows"])[0]
    assert near.startswith("By nearest neighbours, b is ahead on rows: 71.90 ± 1.00 against 70.00 ± 1.00 of a, 1.9")
    assert near.endswith("which chance could have done.")
    assert "2.1 standard errors (2 seeds and 2 seeds): more than chance." in far


def test_of_one_seed_the_error_is_that_of_the_test_images(tmp_path):
    # 30 test images: √(2 · 0.75 · 0.25 / 30) = 0.1118.
    runs = [
        finished_runs.make(tmp_path / name, experiment=name, metrics={"knn_accuracy": 0.75 + shift})
        for name, shift in (("a", 0.0), ("b", 1e-9))
    ]
    (first, *_) = findings.sentences("rows", grouped(runs)["rows"])
    assert "0.0 standard errors (one seed, 30 images and one seed, 30 images)" in first
    one = grouped(runs)["rows"][0]
    assert findings._standard_error(one, "test/knn_accuracy") == pytest.approx(0.1118 / math.sqrt(2), abs=1e-4)


def test_a_collapsed_experiment_is_named(runs):
    collapsed = runs[3]._replace(record=runs[3].record | {"collapsed": True})
    assert findings.sentences("rows", grouped([runs[0], collapsed])["rows"])[-1].endswith(
        "look all but the same: two."
    )


def test_the_options_that_differ_are_listed_and_the_unusual_ones_marked(tmp_path):
    latents = {"a": 4, "b": 4, "c": 9}
    runs = [finished_runs.make(tmp_path / name, experiment=name, latent=latent) for name, latent in latents.items()]
    assert page.options(grouped(runs)["rows"]) == [("encoder.latent", [("4", False), ("4", False), ("9", True)])]


def test_the_report_is_complete_in_one_file_that_needs_no_network(runs, tmp_path):
    files = report.write(runs, tmp_path / "out")
    names = {file.name for file in files}
    assert {"report.html", "report.md", "report.pdf"} | NAMES <= names
    assert "embedding_comparison_b_other.png" in names
    assert names == {file.name for file in (tmp_path / "out").iterdir()}
    text = (tmp_path / "out" / "report.html").read_text()
    page_itself = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page_itself)
    assert "<dog>" not in text
    for name in ("one", "two", "three"):
        assert f"python launch.py --config=configs/{name}.py" in text


def test_the_text_is_a_table_with_the_best_in_bold(runs, tmp_path):
    runs[3].record["metrics"]["test/knn_accuracy"] = 0.9
    lines = list(markdown._lines(grouped(runs), {"rows": [], "b/other": []}))
    assert "| one | 3 | 83.00 ± 3.00 | 70.00 ± 0.00 |" in "\n".join(lines)
    assert "| two | 1 | **90.00** | 70.00 |" in "\n".join(lines).replace("**70.00**", "70.00")


def test_a_folder_of_runs_is_searched_and_what_cannot_be_read_is_left_out(runs, tmp_path, capsys, monkeypatch):
    written = {}
    monkeypatch.setattr(report, "write", lambda runs, folder: written.update(runs=runs, folder=folder) or [])
    folders = tmp_path / "runs"
    (folders / "two" / "result.json").write_text("{")
    (folders / "three" / "result.json").unlink()
    (folders / "again").mkdir()
    for file in (folders / "one0").iterdir():
        (folders / "again" / file.name).write_bytes(file.read_bytes())
    status = command.main([str(folders), str(tmp_path / "nothing"), f"--output={tmp_path / 'out'}"])
    assert status == 1
    assert sorted(run.record["seed"] for run in written["runs"]) == [0, 1, 2]
    assert written["folder"] == tmp_path / "out"
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 4
    assert re.search("left out: .*two/result.json is damaged", said)
    assert re.search("left out: .*three holds a run that has not finished", said)
    assert re.search("left out: .*one0 holds the same run as .*again", said)
    assert re.search("left out: .*nothing is not the folder of a run", said)


def test_with_no_run_at_all_there_is_no_report(tmp_path, capsys):
    assert command.main([str(tmp_path), f"--output={tmp_path / 'out'}"]) == 2
    assert "there is no finished run to report on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command.main([str(runs[0].folder), f"--output={tmp_path / 'file' / 'out'}"]) == 2
    assert capsys.readouterr().err.endswith("cannot be written: Not a directory\n")
