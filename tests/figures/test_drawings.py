"""Figures: drawn from a run's folder alone, and of what is there."""

import itertools

import finished_runs
import matplotlib
import numpy as np
import odd_runs
import pytest
from matplotlib.figure import Figure
from odd_names import NAMES
from PIL import Image

from jaxembed.figures import drawings, fonts, gallery, names, plots, style


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_figure_is_renamed_only_once_complete(tmp_path, monkeypatch):
    def killed(figure, file, **_):
        file.write(b"half of it")
        raise KeyboardInterrupt

    (tmp_path / "figure.png").write_bytes(b"the one of before")
    monkeypatch.setattr(Figure, "savefig", killed)
    with pytest.raises(KeyboardInterrupt):
        style.save(style.figure(2, 2)[0], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes() == b"the one of before"


def test_figures_fit_the_width_of_a_readme(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    gallery.draw(run)
    files = sorted((tmp_path / "run" / "figures").iterdir())
    assert [file.stem for file in files] == sorted(drawings.FIGURES)
    for file in files:
        with Image.open(file) as picture:
            width, height = style.size(picture)
            assert picture.width == 2 * width
            assert 700 <= width <= 1100
            assert 300 <= height <= 1100
            assert np.asarray(picture.convert("L")).std() > 5


def test_long_names_next_to_images_are_not_cut_off(tmp_path):
    images = np.zeros((10, 9, 32, 32, 3), np.uint8)
    with style.style():
        figure, [[axes]] = style.figure(6.6, 6.8)
        plots.images(axes, images)
        plots.rows_of(axes, ["automobile"] * 10, 32)
        axes.set_title("two\nlines")
        style.save(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert np.all(np.asarray(picture.convert("L"))[:, :2] == 255)


def test_figure_without_content_is_not_drawn(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    none = dict.fromkeys(("seen", "errors", "originals", "reconstructions"))
    gallery.draw(run._replace(sample=run.sample._replace(**none)))
    names = {file.stem for file in (tmp_path / "run" / "figures").iterdir()}
    assert names == set(drawings.FIGURES) - {"views", "reconstructions"}


def test_figures_show_the_measured_values(tmp_path):
    run = finished_runs.make(tmp_path / "run", seed=4)
    assert "one, seed 4: t-SNE of 30 test images" in texts(drawings.embeddings(run))
    assert "trustworthiness 0.900" in texts(drawings.embeddings(run))
    assert "40% overlap" in texts(drawings.distances(run))
    assert "16 of 24 in a different class" in texts(drawings.neighbours(run))
    assert "MLP probe on the test split, 75.00%" in texts(drawings.confusion(run))
    assert all(name in texts(drawings.embeddings(run)) for name in finished_runs.CLASSES)


def test_the_wrong_neighbours_are_framed_and_no_others(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    axes = drawings.neighbours(run).axes[0]
    frames = {(round(patch.get_x() + 0.5), round(patch.get_y() + 0.5)) for patch in axes.patches}
    # Images of 9×7 with a gap of one pixel; the query itself has column 0.
    wrong = {
        (8 * (1 + place), 10 * query)
        for query in range(3)
        for place in range(8)
        if (8 * query + place) % 3 != query
    }
    assert frames == wrong


def test_validation_curve_includes_the_last_step(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    epochs, values = drawings.validation(run, "knn_accuracy")
    assert (epochs.tolist(), values.tolist()) == ([1, 2, 4], [0.5, 0.6, 0.82])


def test_panel_needs_three_points(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    assert len(drawings.loss(run).axes) == 2
    lines = [line for line in run.lines if line["step"] != 3 or "train/loss" in line]
    assert len(drawings.loss(run._replace(lines=lines)).axes) == 1
    assert drawings.loss(run._replace(lines=lines[:2])) is None


def test_neither_split_leaves_the_figure_of_the_loss(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    for held_out in (0.01, 9.0):
        run.record["metrics"]["validation/loss"] = held_out
        axes = drawings.loss(run).axes[0]
        low, high = axes.get_ylim()
        assert low < held_out < high
        assert low < 2 / 12  # the last train loss
    assert axes.lines[-1].get_ydata().tolist() == [0.5, 0.5, 9.0]


def test_accuracy_axis_ends_at_100_per_cent(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    run.record["metrics"]["validation/knn_accuracy"] = 0.6  # as at epoch 2, which is at 60%
    assert drawings.loss(run).axes[1].get_ylim()[1] == pytest.approx(60.5, abs=0.1)
    for line in run.lines:
        line.update({name: 1.0 for name in line if name == "validation/knn_accuracy"})
    run.record["metrics"]["validation/knn_accuracy"] = 1.0
    assert drawings.loss(run).axes[1].get_ylim()[1] == 100


def test_accuracies_that_are_drawn_later_are_on_the_axis_as_well():
    axes = Figure().add_subplot()
    for accuracies, lowest in (([60, 62], 60), ([97, 100], 60), ([20, 50], 20)):
        axes.plot(accuracies)
        plots.to_100(axes)
        low, high = axes.get_ylim()
        assert lowest - 5 < low < lowest
        assert max(accuracies) < high <= 100 or high == 100


def test_names_of_concentric_classes_are_placed_apart_where_each_is_purest():
    # One class in the middle, and one all around it, twice as close together on the right.
    angles = np.concatenate([np.linspace(0, 2 * np.pi, 80), np.linspace(-0.1, 0.1, 40)])
    ring = 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.concatenate([np.random.default_rng(0).normal(size=(40, 2)), ring])
    axes = style.figure(4, 4)[1][0, 0]
    plots.scatter(axes, points, np.repeat([0, 1], [40, 120]), ["inside", "around"])
    inside, around = (np.hypot(*text.get_position()) for text in axes.texts)
    assert inside < 1
    assert around == pytest.approx(10)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_name_of_a_class_covers_another(seed, tmp_path):
    points, labels = np.random.default_rng(seed).normal(size=(50, 2)), np.arange(50) % 5
    figure, [[axes]] = style.figure(3, 3)
    plots.scatter(axes, points, labels, ["Ankle boot"] * 5)
    axes.set_title("a title\nof two lines")  # which leaves them less room
    style.save(figure, tmp_path / "names.png")
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 5
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(("low", "high"), [(0.06, 1), (0.9, 1), (2, 100), (2.1, 9.9), (10, 60), (30, 40), (1, 1e6)])
def test_logarithmic_axis_has_plain_numbers_that_do_not_overlap(low, high):
    figure, [[axes]] = style.figure(4, 3)
    axes.plot([low, high], [1, 2])
    axes.set(xscale="log")
    plots.plain_ticks(axes.xaxis)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    shown = [box for box in boxes if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1]
    assert len(shown) >= 2
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(shown))
    assert all(float(label.get_text()) > 0 for label in axes.get_xticklabels())


def test_the_confusion_matrix_has_classes_down_and_predictions_across(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    axes = drawings.confusion(run).axes[0]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, run.sample.confusion / 10)
    written = {tuple(map(int, text.get_position())): int(text.get_text()) for text in axes.texts}
    assert written[2, 0] == 1
    assert written[0, 2] == 2


def test_the_smooth_curve_is_the_mean_of_the_raw_one_and_no_lower_at_its_ends():
    axes = style.figure(4, 3)[1][0, 0]
    plots.curve(axes, np.arange(100), np.full(100, 3.0), colour="k", label="x")
    np.testing.assert_allclose(axes.lines[1].get_ydata(), 3)


def test_each_class_has_its_own_colour():
    assert style.colours(10) == list(style.PALETTE)
    assert style.colours(3) == style.colours(10)[:3]
    assert len(set(map(tuple, style.colours(100)))) == 100


def test_drawing_does_not_change_matplotlibs_settings(tmp_path):
    before = dict(matplotlib.rcParams)
    gallery.draw(finished_runs.make(tmp_path / "run"))
    assert dict(matplotlib.rcParams) == before


def test_names_with_dollars_are_drawn_unchanged(tmp_path):
    folder = tmp_path / "runs"
    run = odd_runs.make(folder, experiments=1)[0]  # $$, which draws all figures
    with style.style():
        figure = drawings.embeddings(run)
        style.save(figure, tmp_path / "figure.png")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == [names.drawn(name, plots.MARGIN) for name in NAMES[:10]]
    assert {"$$", "$0-$10", "_hidden"} <= set(legend)
    assert not any(text.get_parse_math() for text in figure.findobj(matplotlib.text.Text))


def test_characters_without_a_font_are_escaped(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: ())
    assert names.drawn("中\u202e\udce9\n$é") == r"\u4e2d\u202e\udce9\n$é"
    gallery.draw(odd_runs.make(tmp_path, experiments=4, drawn=False)[3])  # a missing glyph is a warning


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcdef…ijk"),
        ("中中中中中中", 12, "中中中中中中"),
        ("中中中中中中中", 12, "中中中中…中"),
        ("ab\nc\ndefghi", 9, "ab\\nc…ghi"),
        ("\n" * 5, 3, "\\n…"),
        ("", 3, ""),
    ],
)
def test_long_names_are_shortened_in_the_middle(text, limit, expected):
    assert names.written(text, limit) == expected


def test_long_names_do_not_change_the_figure_size(tmp_path):
    gallery.draw(odd_runs.make(tmp_path, experiments=5, drawn=False)[4])  # 300 letters
    for file in sorted((tmp_path / "4" / "figures").iterdir()):
        with Image.open(file) as picture:
            assert style.size(picture)[0] <= 1200
            edges = np.asarray(picture.convert("L"))[:, [0, 1, -2, -1]]
            assert (edges == 255).mean() > 0.97


def test_thousands_of_classes_are_drawn_without_a_legend():
    points, labels = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 7
    axes = style.figure(3, 3)[1][0, 0]
    plots.scatter(axes, points, 700 * labels, [f"class {i}" for i in range(5000)])
    assert len(axes.collections) == 1
    assert not axes.texts
