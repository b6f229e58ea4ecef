"""The paper: what it says, that no text covers another, and that it is the same each time."""

import random
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import finished_runs
import pypdf
import pytest
from PIL import Image
from reportlab.pdfbase import pdfmetrics

from jaxembed import metrics
from jaxembed.figures import drawings, gallery
from jaxembed.report import experiments, methods, paper, typeset
from jaxembed.report.comparison import Picture

pytestmark = pytest.mark.usefixtures("blank_figures")
ODD = "x<b>&amp;&lt;"


def make(folder: Path, *, drawn=drawings.FIGURES, record=None, **options):
    """A finished run with figures of one colour each, as large as launch.py's; `record` replaces values."""
    run = finished_runs.make(folder, **options)
    (folder / gallery.FOLDER).mkdir()
    for name in drawn:
        picture(folder / gallery.FOLDER / f"{name}.png", height=height(name))
    return run._replace(record=run.record | (record or {}))


def picture(file: Path, *, height: int) -> Path:
    # Of one colour for each file: equal pictures are stored once.
    Image.new("RGB", (858, height), tuple(random.Random(str(file)).randbytes(3))).save(file)
    return file


def write(runs, folder: Path) -> pypdf.PdfReader:
    folder.mkdir(exist_ok=True)
    groups = experiments.group(runs)
    pictures = {
        dataset: [
            Picture(picture(folder / f"c{index}.png", height=3000), f"compared {dataset}", "How <it> was made.")
        ]
        for index, dataset in enumerate(groups)
    }
    file = paper.write(groups, pictures, folder)
    assert file == folder / "report.pdf"
    assert file.read_bytes().startswith(b"%PDF")
    return pypdf.PdfReader(file)


def text(reader: pypdf.PdfReader) -> str:
    """All the text, whatever the lines that it is broken into."""
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def titles(outline) -> list:
    return [titles(entry) if isinstance(entry, list) else entry.title for entry in outline]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of one experiment and one of another, and two experiments on a second dataset."""
    folders = tmp_path_factory.mktemp("runs")
    back = {"objective": "reconstruct", "parameters": {"encoder": 98765}, "train_seconds": 1234, "together": 3}
    made = [
        make(folders / "a0", experiment="apart", seed=0, metrics={"knn_accuracy": 0.9}),
        make(
            folders / "a1",
            experiment="apart",
            seed=1,
            metrics={"knn_accuracy": 0.92},
            record={"train_seconds": 8.5},
        ),
        make(folders / "b", experiment="back", metrics={"l1": 0.0625}, record=back),
        make(folders / "c", experiment="views", dataset="other", record={"objective": "ntxent"}),
        make(folders / "d", experiment="views", dataset="other", latent=8, record={"objective": "new"}),
    ]
    made[1].record["versions"]["jax"] = "0.10.3"
    return made


@pytest.fixture(scope="module")
def reader(runs, tmp_path_factory):
    """Their paper."""
    return write(runs, tmp_path_factory.mktemp("out"))


def test_paper_reports_runs_and_results(reader):
    said = text(reader)
    assert reader.metadata.title == "Image embeddings compared on rows and other"
    assert "4 experiments, 5 runs · CPU, 2 cores · jaxembed 0.1.0 · jax 0.10.2 · jax 0.10.3" in said
    assert "apart has the highest kNN accuracy on rows (91.00 ± 1.41 vs 80.00 for back)" in said
    assert "apart margin fc CPU, 2 cores 1,234 56 4 8 8.0 0, 1" in said
    assert "back reconstruct fc CPU, 2 cores 98,765 0 4 8 1,234.0 for 3 seeds side by side 0" in said
    assert "apart 91.00 ± 1.41 70.00 ± 0.00" in said
    assert "rows apart, back 3 euclidean 4: flip (p 0.5) epochs 2, learning rate 0.1" in said
    assert "Not in this version of jaxembed (objectives/new.py)." in said
    assert all(methods.describe(objective) in said for objective in ("margin", "reconstruct", "ntxent"))
    assert methods.describe("classify") not in said
    assert "apart, seed 1 python launch.py --config=configs/apart.py --seed=1" in said
    assert "jax 0.10.2, 0.10.3" in said


def test_paper_defines_the_measures_that_runs_have(reader):
    said = text(reader)
    meanings = {column.name: column.meaning in said for column in metrics.columns() if column.table}
    assert meanings["knn_accuracy"]
    assert meanings["l1"]
    assert not meanings["accuracy"]
    assert not meanings["alignment"]


def test_headings_are_numbered_in_the_outline_and_the_contents(reader):
    sections = titles(reader.outline)
    assert sections == [
        "1 Summary",
        "2 Method",
        ["2.1 Experiments", "2.2 Ways of learning", "2.3 Evaluation"],
        "3 Results",
        ["3.1 rows", "3.2 other"],
        "4 Experiments one by one",
        [
            "4.1 apart on rows",
            "4.2 back on rows",
            "4.3 latent 4 on other",
            "4.4 latent 8 on other",
        ],
        "5 How to reproduce",
        ["5.1 Commands", "5.2 Versions", "5.3 Measures"],
    ]
    first = reader.pages[0].extract_text()
    assert "4.4 latent 8 on other" in first
    footers = [said for (_, y, _), _, said, _ in pieces(reader) if y < typeset.MARGIN]
    assert footers == [str(number + 1) for number in range(len(reader.pages))]


def test_a_figure_that_was_not_drawn_is_left_out(tmp_path):
    run = make(tmp_path / "run", drawn=("loss", "neighbours", "views", "distances"))
    reader = write([run], tmp_path / "out")
    said = text(reader)
    assert sum(len(page.images) for page in reader.pages) == 5
    assert "Figure 5:" in said
    assert "Figure 6:" not in said
    left_out = {name for name, each in drawings.FIGURES.items() if each.caption not in said}
    assert left_out == {"embeddings", "confusion", "reconstructions", "few_labels", "doctor"}


def test_single_run_has_no_comparison(tmp_path):
    said = text(write([make(tmp_path / "run")], tmp_path / "out"))
    assert "1 experiment, 1 run ·" in said
    assert "one is the only experiment: nothing is compared." in said
    assert "one 80.00 70.00 75.00" in said


def test_best_values_and_differences_are_bold(reader):
    bold = Counter(text for _, _, text, font in pieces(reader) if "Bold" in font)
    assert bold["91.00"] == 1
    assert bold["80.00"] == 6  # R@1 of four experiments, and kNN of two, which are equally good
    assert bold["0.062"] == bold["3.500"] == 0  # L1, which one experiment alone has, and RankMe
    assert bold["encoder.latent"] == 2
    assert bold["encoder.name"] == 0


def test_paper_is_reproducible_to_the_byte(runs, tmp_path):
    files = [tmp_path / name / "report.pdf" for name in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        paper.write(experiments.group(runs[1:2]), {"rows": []}, file.parent)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_odd_names_are_shown_unchanged(tmp_path):
    odd = {"command": f"python {ODD}", "device": ODD, "encoder": ODD, "objective": ODD}
    run = make(tmp_path / "run", experiment=ODD, dataset=f"{ODD}/", record=odd, note=ODD)
    run = run._replace(record=run.record | {"versions": run.record["versions"] | {ODD: ODD}})
    reader = write([run], tmp_path / "out")
    said = text(reader)
    for there in (f"on {ODD}/", f"python {ODD}", f"{ODD} {ODD} {ODD} {ODD} 1,234", f"encoder.note {ODD}"):
        assert there in said
    assert f"Not in this version of jaxembed (objectives/{ODD}.py)." in said
    assert reader.metadata.title == f"Image embeddings compared on {ODD}/"
    assert f"4.1 {ODD} on {ODD}/" in titles(reader.outline)[6]


@pytest.mark.parametrize("length", [60, 300])
def test_no_text_overlaps_or_leaves_the_page(length, tmp_path):
    columns = [column for column in metrics.columns() if column.table]
    everything = {column.name: 0.123456 for column in columns}
    name = "n" * length
    runs = [
        make(tmp_path / f"{name[:12]}{seed}", drawn=(), experiment=name, metrics=everything, seed=seed, note=name)
        for seed in range(2)
    ]
    record = dict.fromkeys(("device", "encoder", "objective"), name) | {"train_seconds": 98765.4}
    runs.append(make(tmp_path / "other", drawn=(), experiment="other", metrics=everything, record=record))
    lines, words = defaultdict(Counter), Counter()
    for (page, y, size), x, said, font in pieces(write(runs, tmp_path / "out")):
        words.update(said.split())
        # Where the font changes inside a line, what follows is said to start where the line does.
        lines[page, y][x] += pdfmetrics.stringWidth(said, font.partition("+")[2], size)
    assert words["0.123"] >= 2 * sum(not column.percent for column in columns)
    assert words["98,765.4"] == words["parameters"] == 1
    assert words["silhouette"] == words["uniformity"] == 2
    for line in lines.values():
        # reportlab makes spaces up to 5% narrower where a word then fits: 3 points a line.
        starts = [*sorted(line), typeset.A4[0] - typeset.MARGIN + 3]
        assert starts[0] >= typeset.MARGIN - 0.1
        for start, following in pairwise(starts):
            assert start + line[start] <= following + 0.1


def height(name: str) -> int:
    """A height of a figure, in pixels: not the same for all."""
    return 500 + 50 * (len(name) % 8)


def pieces(reader: pypdf.PdfReader):
    """Every piece of text: ((page, y, size), x, text, font)."""
    found = []
    for number, page in enumerate(reader.pages):

        def visit(said, matrix, text_matrix, font, size, number=number):
            if said.strip():
                x, y = (matrix[4 + axis] + text_matrix[4 + axis] for axis in range(2))
                found.append(((number, round(y, 1), size), x, said.strip(), font["/BaseFont"]))

        page.extract_text(visitor_text=visit)
    return found
