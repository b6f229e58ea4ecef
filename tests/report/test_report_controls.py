"""Controls in a report: rows of their own, never the best, and what is no better than one is a sentence."""

import json
import shutil

import finished_runs
import numpy as np
import pytest
from pypdf import PdfReader

from jaxembed import report
from jaxembed.artifacts import finished, samples
from jaxembed.report import conclusions, controls, experiments, markdown, summary, tables
from jaxembed.report.controls import Control

pytestmark = pytest.mark.usefixtures("blank_figures")


def make_control(folder, name="patches", dataset="rows", seed=0, **metrics) -> finished.Finished:
    """Write the folder of a control, as measure leaves it, with the same images as the runs."""
    finished_runs.make(folder, experiment=name, dataset=dataset, seed=seed, metrics=metrics)
    config, record = (json.loads((folder / file).read_text()) for file in ("config.json", "result.json"))
    for part in (config, record):
        for key in (*finished.TRAINED, "optimizer"):
            part.pop(key, None)
    config |= {"encoder": {"name": name}, "objective": {"name": "control"}, "train": {}, "name": name}
    record |= {"encoder": name, "objective": "control", "trained_on": None}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text(json.dumps(record))
    (folder / "metrics.jsonl").unlink()
    return finished.read(folder)


@pytest.fixture
def runs(tmp_path):
    """Two ways, of which the second is worse than a control by kNN, and two controls, before them and between."""
    folder = tmp_path / "runs"
    return [
        make_control(folder / "patches", knn_accuracy=0.85, linear_accuracy=0.69),
        finished_runs.make(folder / "one", experiment="one", metrics={"knn_accuracy": 0.9, "linear_accuracy": 0.8}),
        make_control(folder / "pixels", "pixels", knn_accuracy=0.5, linear_accuracy=0.3, cdnv=0.0),
        finished_runs.make(folder / "two", experiment="two", metrics={"knn_accuracy": 0.85}),
    ]


def test_controls_are_listed_apart_and_never_marked_as_the_best(runs):
    [group] = experiments.group(runs).values()
    assert [each.title for each in group] == ["one", "two", "patches (control)", "pixels (control)"]
    for table in tables.make(group):
        assert [each.name for each, _ in table.rows] == ["one", "two"]
        assert [each.name for each, _ in table.controls] == ["patches", "pixels"]
        assert not any(best for _, cells in table.controls for _, best in cells)
        if "cdnv" in (columns := [column.name for column in table.columns]):
            # Although one of the controls has less.
            assert all(cells[columns.index("cdnv")] == ("0.300", True) for _, cells in table.rows)
    text = "\n".join(markdown._lines({"rows": group}, {"rows": []}))
    assert "| two | 1 | 85.00 |" in text
    assert (
        text.index("| two | 1") < text.index("| *controls: what an embedding") < text.index("| patches | 1 | 85.00")
    )


def test_a_sentence_says_what_is_no_better_than_a_control_and_no_other_names_one(runs):
    [group] = experiments.group(runs).values()
    *others, two, one = conclusions.sentences("rows", group)
    assert two == "two: kNN 85.00%, no better than patches (85.00%)."
    assert one == "Better than every control, by kNN and linear probe: one."
    assert others[0].startswith("one has the highest kNN accuracy on rows (90.00 vs 85.00 for two)")
    assert not any(name in " ".join(others) for name in ("patches", "pixels"))


def test_a_report_with_controls_is_written_and_names_them_everywhere(runs, tmp_path):
    report.write(runs, tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Experiments: 2. Runs: 2. Controls: 2." in html
    assert html.count('<tr class="group">') == len(tables.make(experiments.group(runs)["rows"]))
    text = " ".join(
        " ".join(page.extract_text() for page in PdfReader(tmp_path / "out" / "report.pdf").pages).split()
    )
    assert "2 experiments, 2 runs" in text
    assert "2 controls, measured in the same way, say what an embedding has to beat: patches, pixels." in text
    assert "Coates, Lee & Ng 2011" in text


def test_a_report_of_controls_only_and_of_one_way_is_written(runs, tmp_path):
    report.write([runs[0]], tmp_path / "controls")
    report.write(runs[:2], tmp_path / "both")
    assert conclusions.sentences("rows", experiments.group([runs[0]])["rows"]) == []
    assert "one: kNN" not in (tmp_path / "both" / "report.md").read_text()


def test_seeds_of_a_control_are_one_row(tmp_path):
    made = [make_control(tmp_path / str(seed), seed=seed, knn_accuracy=0.5 + seed / 10) for seed in (0, 1)]
    [[one]] = experiments.group(made).values()
    assert (len(one.runs), one.value("knn_accuracy").mean) == (2, pytest.approx(0.55))


@pytest.mark.parametrize(
    ("own", "rival", "expected"),
    [
        ({"knn_accuracy": 0.5}, {"knn_accuracy": 0.4}, ["kNN 50.00% (best control: x, 40.00%)"]),
        ({"knn_accuracy": 0.5}, {"knn_accuracy": 0.500004}, ["kNN 50.00%, no better than x (50.00%)"]),
        ({"linear_accuracy": 1.0}, {"linear_accuracy": 1.0}, ["linear probe 100.00%, no better than x (100.00%)"]),
        ({"knn_accuracy": 0.5}, {"linear_accuracy": 0.4}, []),
        ({"knn_accuracy": float("nan")}, {"knn_accuracy": 0.4}, []),
    ],
)
def test_what_reads_the_same_is_no_better(own, rival, expected):
    others = [Control("x", rival), Control("none", {"knn_accuracy": float("nan")})]
    assert [each.text for each in controls.verdicts(own, others)] == expected


def said(run, capsys) -> str:
    capsys.readouterr()
    summary.show(run.record, run.folder)
    return capsys.readouterr().out


def test_the_end_of_a_run_names_the_controls_next_to_it(runs, capsys):
    assert "kNN 85.00%, no better than patches (85.00%); linear probe 70.00% (best control" in said(runs[3], capsys)
    assert "no better" not in said(runs[1], capsys)
    assert "probe" not in said(runs[0], capsys)  # a control itself


@pytest.mark.parametrize("change", ["dataset", "split", "labels", "damaged", "no sample", "not a control"])
def test_what_is_next_to_a_run_and_is_no_control_on_its_images_is_passed_over(change, runs, capsys):
    shutil.rmtree(runs[2].folder)
    file = runs[0].folder / "result.json"
    record = json.loads(file.read_text())
    if change in ("dataset", "split"):
        record[change] = {"dataset": "others", "split": "validation"}[change]
    if change == "not a control":
        record["objective"] = "unknown"
    file.write_text("{" if change == "damaged" else json.dumps(record))
    if change == "no sample":
        (file.parent / samples.FILE).unlink()
    if change == "labels":
        sample = runs[0].sample
        samples.write(sample._replace(labels=np.roll(sample.labels, 1)), file.parent)
    assert "probe" not in said(runs[3], capsys)


def test_controls_on_other_images_are_no_rivals_in_a_report(runs):
    sample = runs[0].sample
    other = runs[0]._replace(sample=sample._replace(rows=sample.rows + 1))
    [group] = experiments.group([other, runs[3]]).values()
    assert not [text for text in conclusions.sentences("rows", group) if "patches" in text]
