"""The report: what is compared with what, what is marked as the best, and what is left out and said."""

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import finished_runs
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from jaxembed import metrics, report
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.figures import style
from jaxembed.metrics import Column
from jaxembed.report import __main__ as command
from jaxembed.report import comparison, conclusions, experiments, markdown, page, paper, tables

NAMES = {f"{name}_rows.png" for name in ("embedding_comparison", "distance_comparison", "learning_curves")}
pytestmark = pytest.mark.usefixtures("blank_figures")


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


def test_runs_that_differ_only_in_the_seed_are_one_experiment(runs):
    assert {dataset: [each.name for each in found] for dataset, found in grouped(runs).items()} == {
        "rows": ["one", "two"],
        "b/other": ["three"],
    }
    value = grouped(runs)["rows"][0].value("knn_accuracy")
    assert value == pytest.approx((0.83, 0.03))
    assert math.isnan(grouped(runs)["rows"][1].value("knn_accuracy").sd)


def test_same_name_with_two_configs_is_two_experiments_named_by_their_difference(tmp_path):
    wide = finished_runs.make(tmp_path / "wide", latent=64)
    narrow = finished_runs.make(tmp_path / "narrow", latent=4, seed=1)
    names = [each.name for each in grouped([wide, narrow])["rows"]]
    assert names == ["latent 64", "latent 4"]
    other = finished_runs.make(tmp_path / "other", experiment="two")
    names = [each.name for each in grouped([wide, narrow, other])["rows"]]
    assert names == ["one (latent 64)", "one (latent 4)", "two"]


def test_experiments_are_told_apart_by_as_few_options_as_possible():
    margin = {"config.objective.name": "margin", "config.objective.margin": 5.0, "config.encoder.name": "cnn"}
    barlow = {"config.objective.name": "barlow", "config.objective.weight": 0.1, "config.encoder.name": "cnn"}
    wider = margin | {"config.objective.margin": 10.0}
    deep = {"config.train.epochs": 3, "config.evaluate.linear.epochs": 3, "config.objective.tile": 0}
    for rivals, words in (
        ((margin, barlow), ["margin", "barlow"]),
        ((margin, wider), ["margin 5", "margin 10"]),
        ((margin, wider, barlow), ["margin, margin 5", "margin, margin 10", "barlow"]),
        ((deep, deep | {"config.objective.tile": 8}), ["tile 0", "tile 8"]),
        (
            (deep, deep | {"config.train.epochs": 5}, deep | {"config.evaluate.linear.epochs": 5}),
            [
                "train epochs 3, linear epochs 3",
                "train epochs 5, linear epochs 3",
                "train epochs 3, linear epochs 5",
            ],
        ),
    ):
        telling = experiments._telling(list(rivals))
        assert [experiments._words(each, telling) for each in rivals] == words


@pytest.mark.parametrize(("better", "best"), [(1, {1}), (-1, {0}), (0, set())])
def test_the_best_is_marked_as_the_measure_says(better, best, tmp_path):
    runs = [
        finished_runs.make(tmp_path / name, experiment=name, metrics={"cdnv": value})
        for name, value in (("one", 0.2), ("two", 0.3), ("none", None))
    ]
    column = Column("cdnv", label="CDNV", better=better, percent=False, table="geometry", meaning="")
    assert tables.best(column, grouped(runs)["rows"]) == best


def test_values_are_shown_with_their_deviation_or_as_a_dash(runs):
    one, two = grouped(runs)["rows"]
    columns = {column.name: column for column in metrics.columns()}
    assert tables.show(columns["knn_accuracy"], one.value("knn_accuracy")) == "83.00 ± 3.00"
    assert tables.show(columns["knn_accuracy"], two.value("knn_accuracy")) == "80.00"
    assert tables.show(columns["cdnv"], two.value("cdnv")) == "–"
    assert tables.head(columns["knn_accuracy"]) == "kNN % ↑"


def test_measure_that_no_run_has_gets_no_column(runs):
    names = [column.name for column in tables.make(grouped(runs)["rows"])[0].columns]
    assert "knn_accuracy" in names
    assert "accuracy" not in names


def test_a_metric_that_no_measure_defines_is_shown_by_its_name(tmp_path):
    run = finished_runs.make(tmp_path / "run", metrics={"turns": 0.5, "loss": 1.0})
    *_, column = tables.make(grouped([run])["rows"])[-1].columns  # not the loss, which measures no embedding
    assert (tables.head(column), column.percent) == ("turns", False)


def seeds(folder, name, accuracies):
    return [
        finished_runs.make(folder / f"{name}{seed}", experiment=name, seed=seed, metrics={"knn_accuracy": accuracy})
        for seed, accuracy in enumerate(accuracies)
    ]


def first_finding(*runs):
    return conclusions.sentences("rows", grouped([run for each in runs for run in each])["rows"])[0]


def test_a_difference_is_tested_by_welchs_test_corrected_for_the_choice_of_the_two_best(tmp_path):
    # t = 0.02 / sqrt(2 * 0.01**2 / 3) = 2.449 with 4 degrees of freedom: p = 0.0705; twice the gap: 0.0080.
    spread = (-0.01, 0.0, 0.01)
    one, near, far = (
        seeds(tmp_path, name, [mean + s for s in spread]) for name, mean in (("a", 0.7), ("b", 0.72), ("c", 0.74))
    )
    assert first_finding(one, near) == (
        "b has the highest kNN accuracy on rows (72.00 ± 1.00 vs 70.00 ± 1.00 for a); "
        "not significant (Games-Howell test over seeds, p = 0.07)."
    )
    assert first_finding(one, far).endswith("; significant (Games-Howell test over seeds, p = 0.008).")
    # The same t of 2.449 between the best two of three: the studentised range's tail at 2.449 * sqrt(2) is 0.14.
    assert first_finding(one, near, far).endswith("; not significant (Games-Howell test over seeds, p = 0.14).")


def test_with_one_seed_significance_is_not_tested_and_a_draw_is_a_draw(tmp_path):
    one, other, equal = (seeds(tmp_path, *pair) for pair in (("a", [0.7]), ("b", [0.9]), ("c", [0.70001])))
    assert first_finding(one, other).endswith("; with one seed, significance cannot be tested.")
    assert first_finding(one, equal) == "c and a have the same kNN accuracy on rows: 70.00."
    always = seeds(tmp_path, "d", [0.8, 0.8])
    assert first_finding(always, seeds(tmp_path, "e", [0.7, 0.7])).endswith("for e); no variation between seeds.")


def test_constant_experiments_change_nothing_and_raise_no_warning(tmp_path):
    rivals = [seeds(tmp_path, name, [mean, mean + 0.02]) for name, mean in (("a", 0.7), ("b", 0.75))]
    constant = [seeds(tmp_path, name, [mean, mean]) for name, mean in (("c", 0.5), ("d", 0.4))]
    assert re.search(
        r"for a\); not significant \(Games-Howell test over seeds, p = 0\.\d+\)\.$",
        first_finding(*rivals, *constant),
    )


def test_an_experiment_without_the_measure_is_not_ranked(tmp_path):
    runs = [*seeds(tmp_path, "a", [None]), *seeds(tmp_path, "b", [0.7]), *seeds(tmp_path, "c", [0.8])]
    assert "c has the highest kNN accuracy on rows (80.00 vs 70.00 for b)" in first_finding(runs)


def test_the_geometry_of_the_best_is_a_sentence_with_its_unit(tmp_path):
    runs = [
        finished_runs.make(tmp_path / name, experiment=name, metrics={"distance_overlap": overlap, "cdnv": cdnv})
        for name, overlap, cdnv in (("one", 0.4, 0.1), ("two", 0.25, 0.2))
    ]
    *_, first, second = conclusions.sentences("rows", grouped(runs)["rows"])
    assert first == "Distances within and between classes overlap least in the embedding of two: overlap 25.00%."
    assert second.endswith("relative to the distance between them, in the embedding of one: CDNV 0.100.")


def test_ties_are_one_sentence_of_bounded_length(tmp_path):
    runs = [
        finished_runs.make(tmp_path / str(index), experiment=f"{index}" * 200, metrics={"cdnv": cdnv})
        for index, cdnv in enumerate([0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1])
    ]
    accuracy, _, overlap, cdnv = conclusions.sentences("rows", grouped(runs)["rows"])
    assert accuracy.startswith("7 of 7 experiments have the highest kNN accuracy on rows: 80.00 (000")
    assert "overlap least in 7 of 7 embeddings, those of 000" in overlap
    assert "in 6 of 7 embeddings, those of 000" in cdnv
    assert cdnv.endswith("444 and 2 more: CDNV 0.100.")
    assert max(map(len, (accuracy, overlap, cdnv))) < 500


def test_a_collapsed_experiment_is_named(runs):
    collapsed = runs[3]._replace(record=runs[3].record | {"collapsed": True})
    assert conclusions.sentences("rows", grouped([runs[0], collapsed])["rows"])[-1].endswith(
        "nearly identical outputs for different images: two."
    )


def test_the_options_that_differ_are_listed_and_the_unusual_ones_marked(tmp_path):
    latents = {"a": 4, "b": 4, "c": 9}
    runs = [finished_runs.make(tmp_path / name, experiment=name, latent=latent) for name, latent in latents.items()]
    assert page.options(grouped(runs)["rows"]) == [("encoder.latent", [("4", False), ("4", False), ("9", True)])]


def test_time_of_seeds_trained_together_is_reported_as_shared(tmp_path):
    alone = finished_runs.make(tmp_path / "alone")
    together = alone._replace(record=alone.record | {"together": 3})
    assert page.facts(alone)[-1] == "8 s on CPU, 2 cores"
    assert page.facts(together)[-1] == "8 s for 3 seeds side by side on CPU, 2 cores"


def test_the_report_is_complete_in_one_file_that_needs_no_network(runs, tmp_path):
    files = report.write(runs, tmp_path / "out")
    names = {file.name for file in files}
    assert {"report.html", "report.md", "report.pdf"} | NAMES <= names
    assert any(re.fullmatch("embedding_comparison_b_other-[0-9a-f]{8}.png", name) for name in names)
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
    assert "| one | 3 | 83.00 ± 3.00 | **70.00 ± 0.00** |" in "\n".join(lines)
    # What reads the same is equally good.
    assert "| two | 1 | **90.00** | **70.00** |" in "\n".join(lines)


def test_folder_is_searched_for_runs_and_unreadable_ones_are_left_out(runs, tmp_path, capsys, monkeypatch):
    written = {}
    monkeypatch.setattr(report, "write", lambda runs, folder: written.update(runs=runs, folder=folder) or [])
    folders = tmp_path / "runs"
    (folders / "two" / "result.json").write_text("{")
    (folders / "three" / "result.json").unlink()
    (folders / "again").mkdir()
    shutil.copytree(folders / "one0", folders / "again", dirs_exist_ok=True)
    status = command.main([str(folders), str(tmp_path / "nothing"), f"--output={tmp_path / 'out'}"])
    assert status == 1
    assert sorted(run.record["seed"] for run in written["runs"]) == [0, 1, 2]
    assert written["folder"] == tmp_path / "out"
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 4
    assert re.search("left out: .*two/result.json is damaged", said)
    assert re.search("left out: .*three holds an unfinished run", said)
    assert re.search("left out: .*one0 holds a run with the same config and seed as .*again", said)
    assert re.search("left out: .*nothing is not a run's folder", said)


def test_run_counts_once_per_seed_regardless_of_its_weights(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "write", lambda runs, folder: [])
    other = finished_runs.make(tmp_path / "other", seed=0)
    record = other.record | {"encoder_sha256": "another"}
    files.write_json(other.folder / "result.json", record)
    assert command.main([str(runs[0].folder), str(other.folder)]) == 1
    assert "holds a run with the same config and seed as" in capsys.readouterr().err


def test_one_folder_given_twice_is_one_run(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "write", lambda runs, folder: [])
    monkeypatch.chdir(tmp_path)
    assert command.main(["runs/one0", str(tmp_path / "runs" / "one0")]) == 0


def test_same_name_with_other_classes_is_another_dataset(runs):
    other = runs[1].sample._replace(classes=np.array(["x", "y", "z"]))
    datasets = grouped([runs[0], runs[1]._replace(sample=other)])
    assert list(datasets) == ["rows (3 classes, cat & <dog> to sky)", "rows (3 classes, x to z)"]


def test_figure_file_names_are_valid_in_links(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "COMPARISONS", comparison.COMPARISONS[:1])
    (picture,) = comparison.draw("rows (3 classes, cat & <dog> to sky)", grouped(runs)["rows"], tmp_path)
    assert re.fullmatch(r"[\w.-]+", picture.file.name)
    assert picture.file.exists()


def test_the_comparisons_show_what_was_measured(runs):
    one, two = grouped(runs)["rows"]
    left, right = comparison.curves([one, two]).axes
    assert [line.get_ydata()[-1] for line in left.lines] == [82.0] * 4
    assert [line.get_xdata().tolist() for line in left.lines] == [[1, 2, 4]] * 4
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1 / np.arange(1, 13))
    np.testing.assert_allclose(right.lines[0].get_xdata(), np.arange(1, 13) / 12)
    assert len({line.get_color() for line in left.lines}) == 2
    for axes, experiment in zip(comparison.distances([one, two]).axes, (one, two), strict=True):
        same, different = (patch.get_data() for patch in axes.patches[::2])
        np.testing.assert_allclose(same.edges, experiment.runs[0].sample.edges / 4)
        np.testing.assert_allclose(same.values, 100 * experiment.runs[0].sample.same)
        np.testing.assert_allclose(different.values, 100 * experiment.runs[0].sample.different)
        assert axes.get_title().endswith("within / between 0.50, 40% overlap")
    panels = comparison.embeddings([one, two]).axes
    assert [axes.get_title() for axes in panels] == ["one\nkNN 80.00%", "two\nkNN 80.00%"]
    for axes, experiment in zip(panels, (one, two), strict=True):
        shown = experiment.runs[0].sample
        offsets, colours = axes.collections[0].get_offsets(), axes.collections[0].get_facecolors()
        np.testing.assert_allclose(
            offsets[(colours[:, :3] == to_rgb(style.PALETTE[2])).all(axis=1)], shown.points[shown.labels == 2]
        )


def test_everything_that_is_drawn_is_inside_its_axes(tmp_path):
    made = []
    for number, accuracy in enumerate((0.5, 0.2, 1.0, 0.9)):  # neither the first nor the last is the best
        few = {
            f"{name}_accuracy_{count}": accuracy for name in ("knn", "linear") for count in ("1_label", "10_labels")
        }
        wide = {"between_distance": 4.0 / (1 + number)}
        run = finished_runs.make(tmp_path / str(number), experiment=f"e{number}", metrics=few | wide)
        run.record["metrics"]["validation/knn_accuracy"] = accuracy
        made.append(run)
    for each in comparison.COMPARISONS:
        for axes in each.make(grouped(made)["rows"]).axes:
            within = axes.viewLim.padded(1e-9)
            points = [line.get_xydata() for line in axes.lines]
            points += [np.asarray(dots.get_offsets()) for dots in axes.collections if len(dots.get_offsets()) > 1]
            for x, y in np.concatenate([np.empty((0, 2)), *points]):
                assert within.contains(x, y), (each.name, x, y)
            for patch in axes.patches:
                drawn = patch.get_data()
                beyond = drawn.edges[1:] > within.x1
                assert drawn.values[beyond].sum() <= 0.1, each.name  # per cent


def test_a_loss_that_is_always_0_has_a_curve(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    lines = [line | {"train/loss": 0.0} for line in run.lines if "train/loss" in line]
    # Without what was measured during training, there is no other panel.
    [right] = comparison.curves(grouped([run._replace(lines=lines)])["rows"]).axes
    assert right.get_yscale() == "linear"


def test_more_experiments_than_colours_get_their_own_line_styles(tmp_path):
    runs = [finished_runs.make(tmp_path / str(i), experiment=f"e{i}") for i in range(10)]
    lines = comparison.curves(grouped(runs)["rows"]).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10


def test_forty_experiments_each_have_a_name_and_a_panel_in_figures_and_pdf(tmp_path):
    runs = [finished_runs.make(tmp_path / f"r{i}", experiment=f"_experiment {i}") for i in range(40)]
    [(dataset, group)] = grouped(runs).items()
    names = [each.name for each in group]
    pictures = comparison.draw(dataset, group[:9], tmp_path)
    assert [picture.title for picture in pictures if "distances" in picture.title] == [
        "rows: distances within and between classes (1 of 2)",
        "rows: distances within and between classes (2 of 2)",
    ]
    for picture in pictures:
        with Image.open(picture.file) as drawn:
            assert max(style.size(drawn)) < 2500
    for most in (each.most for each in comparison.COMPARISONS):
        parts = list(comparison._parts(group, most))
        assert [each.name for part in parts for each in part] == names
        assert max(map(len, parts)) - min(map(len, parts)) <= 1 + len(parts)
    with style.style():
        figure = comparison.curves(group[:32])
        figure.draw_without_rendering()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names[:32]
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.axes[0].bbox.y0
    assert figure.axes[0].bbox.height > 300
    assert paper.write({dataset: group}, {dataset: pictures}, tmp_path).stat().st_size > 0


def test_each_measure_has_its_direction_and_unit():
    up = {
        "knn_accuracy",
        "knn_cosine_accuracy",
        "linear_accuracy",
        "mlp_accuracy",
        "accuracy",
        "map_at_r",
        "silhouette",
    }
    up |= {f"recall_at_{k}" for k in (1, 5, 10)} | {"balanced_accuracy", "worst_class_accuracy", "nmi"}
    counts = ("1_label", "10_labels", "100_labels")
    few = {f"{name}_accuracy_{count}" for name in ("knn", "linear") for count in counts}
    down = {"distance_ratio", "distance_overlap", "cdnv", "l1"}
    neither = {"alignment", "alpha", "uniformity", "rankme", "dimension_spread", "trustworthiness"}
    neither |= {"view_alignment", "view_agreement"} | few
    shown = {column.name: column for column in metrics.columns() if column.table}
    directions = {name: column.better for name, column in shown.items()}
    assert directions == dict.fromkeys(up, 1) | dict.fromkeys(down, -1) | dict.fromkeys(neither, 0)
    assert {name for name, column in shown.items() if column.percent} == (up - {"silhouette", "nmi"}) | few | {
        "distance_overlap",
        "view_agreement",
    }


@pytest.mark.parametrize("is_cut", [False, True])
def test_damaged_figure_is_named_and_the_report_has_the_others(is_cut, runs, tmp_path, capsys):
    (runs[0].folder / "figures").mkdir()
    for name in ("loss", "views"):
        style.save(style.figure(2, 2)[0], file := runs[0].folder / "figures" / f"{name}.png")
    file.write_bytes(file.read_bytes()[:-99] if is_cut else b"no image")
    assert command.main([str(runs[0].folder), f"--output={tmp_path / 'out'}"]) == 1
    [said] = capsys.readouterr().err.splitlines()
    assert re.search(r"left out: .*views.png cannot be read \(.*\); launch.py --evaluate draws it again", said)
    html = (tmp_path / "out" / "report.html").read_text()
    assert 'alt="loss"' in html
    assert 'alt="views"' not in html


def test_no_report_without_runs(tmp_path, capsys):
    with pytest.raises(InputError, match="found no finished run to report on"):
        command.main([str(tmp_path), f"--output={tmp_path / 'out'}"])
    assert len(capsys.readouterr().err.splitlines()) == 1  # what was left out
    assert not (tmp_path / "out").exists()


def test_unwritable_output_is_refused_at_once(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*/file is not a folder"):
        command.main([str(runs[0].folder), f"--output={tmp_path / 'file' / 'out'}"])


def test_command_writes_utf_8_in_any_locale_and_in_a_notebooks_environment(tmp_path):
    finished_runs.make(tmp_path / "run", experiment="日本")
    odd = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    odd |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONWARNDEFAULTENCODING": "1"}
    arguments = [sys.executable, "-m", "jaxembed.report", tmp_path / "run", f"--output={tmp_path / '×'}"]
    done = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | odd, check=False)
    assert done.returncode == 0, done.stderr
    assert f"\n{tmp_path}/" in done.stdout
    # Of ours only: a clone's folder has the package's name, and its virtual environment may be inside it.
    package = re.escape(str(Path(report.__file__).parents[1]))
    assert not re.search(f"{package}/.*EncodingWarning|Traceback", done.stderr)
    assert "日本" in (tmp_path / "×" / "report.md").read_text(encoding="utf-8")


def test_few_labels_axis_includes_all_experiments(tmp_path):
    high = {f"{name}_accuracy_{count}": 0.97 for name in ("knn", "linear") for count in ("1_label", "10_labels")}
    runs = [
        finished_runs.make(tmp_path / "low"),
        finished_runs.make(tmp_path / "high", experiment="two", metrics=high),
    ]
    experiments = grouped(runs)["rows"]
    for axes in comparison.with_few_labels(experiments).axes:
        bottom, top = axes.get_ylim()
        values = [y for line, *_ in axes.containers for y in line.get_ydata()]
        assert max(values) == pytest.approx(97)
        assert bottom <= min(values) <= max(values) <= top <= 100
