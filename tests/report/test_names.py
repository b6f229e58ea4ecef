"""Names of a user in every document: as they are, whatever the renderer takes them for."""

import html
import re

import finished_runs
import numpy as np
import odd_runs
import pypdf
import pytest
from odd_names import NAMES

from jaxembed.figures import fonts, names
from jaxembed.report import __main__ as command
from jaxembed.report import comparison, experiments, markdown, tables, typeset

LONG = "n" * 300
pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(autouse=True)
def without_installed_fonts(monkeypatch):
    """As on a machine that has no font but matplotlib's own."""
    monkeypatch.setattr(fonts, "installed", lambda: ())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report on runs with odd names."""
    folder = tmp_path_factory.mktemp("odd")
    odd_runs.make(folder / "runs", experiments=11, drawn=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "installed", lambda: ())
        patch.setattr(comparison, "COMPARISONS", (comparison.CURVES,))
        assert command.main([str(folder / "runs"), f"--output={folder / 'out'}"]) == 0
    return folder / "out"


def test_the_page_shows_names_as_text(written):
    text = (written / "report.html").read_text(encoding="utf-8")
    page = html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)))
    for name in NAMES[:11]:
        assert names.written(name, 100) in page
    assert "<script>alert" not in text
    assert "\u202e" not in text


def test_the_text_shows_names_as_text(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    # Those of accuracies, few labels, geometry and suspicious images: no name has ended a cell.
    assert widths == {4, 8, 9, 29}
    assert r"\](javascript:alert(1))" in text
    assert r"\$0-\$10" in text
    assert "\n\\<script\\>" not in text


def test_the_pdf_shows_names_as_text(written):
    reader = pypdf.PdfReader(written / "report.pdf")
    said = "".join("".join(page.extract_text() for page in reader.pages).split())
    for name in ("$$", "$0-$10", "_hidden", r"\u4e2d\u6587", r"two\nlines\t\x00\x7f", "<script>alert(1)</script>"):
        assert name in said


def test_bokeh_is_given_names_of_one_line(written):
    text = (written / "report.html").read_text(encoding="utf-8")
    items = re.findall(r"embed_item\((.*)\)</script>", text)
    assert items
    assert not re.search(r"\\u202e|\\udce9|\\u0000", items[0].replace(r"\\u", ""))


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("](javascript:x)", r"\](javascript:x)"),
        ("$0-$1", r"\$0-\$1"),
        ("_x_y_", r"\_x_y\_"),
        ("&lt;", r"\&lt;"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("a\n# b", r"a\\n\# b"),
        ("\udce9", r"\\udce9"),
    ],
)
def test_markdown_takes_no_name_for_markup(name, escaped):
    assert markdown._escape(name) == escaped


def test_no_command_ends_its_block(tmp_path):
    run = finished_runs.make(tmp_path / "run")
    run.record["command"] = "a\n```\n# b ```"
    lines = "\n".join(markdown._lines(experiments.group([run]), {"rows": []})).splitlines()
    assert lines[lines.index("````bash") :][:3] == ["````bash", r"a\n```\n# b ```", "````"]


def test_datasets_that_differ_only_in_the_middle_class_names_stay_apart(tmp_path):
    runs = [finished_runs.make(tmp_path / str(index)) for index in range(3)]
    classes = (("a", "b", "c"), ("a", "X", "c"), ("a", "b", "c"))
    runs = [
        run._replace(
            sample=run.sample._replace(classes=np.array(each)), record=run.record | {"experiment": str(index)}
        )
        for index, (run, each) in enumerate(zip(runs, classes, strict=True))
    ]
    found = {dataset: [each.name for each in group] for dataset, group in experiments.group(runs).items()}
    assert found == {"rows (3 classes, a to c)": ["0", "2"], "rows (3 classes, a to c) [2]": ["1"]}


def test_datasets_with_similar_names_have_their_own_files_and_anchors(tmp_path):
    alike = ("pets/small", "pets_small", "Pets_small", "x", "x-look", "runs", LONG, LONG + "n")
    runs = [finished_runs.make(tmp_path / str(index), dataset=name) for index, name in enumerate(alike)]
    files = [comparison._file_name(dataset).casefold() for dataset in experiments.group(runs)]
    assert len(set(files)) == len(alike)
    assert max(map(len, files)) < 80
    assert comparison._file_name("pets_small") == "pets_small"


def test_anchors_are_unique_whatever_the_names(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "COMPARISONS", ())
    alike = ("x", "x-look", "runs", "dataset-1", "a b")
    for index, name in enumerate(alike):
        finished_runs.make(tmp_path / "runs" / str(index), dataset=name)
    assert command.main([str(tmp_path / "runs"), f"--output={tmp_path}"]) == 0
    text = re.sub(r"<script.*?</script>", "", (tmp_path / "report.html").read_text(), flags=re.DOTALL)
    anchors, links = re.findall(r' id="(.*?)"', text), re.findall(r'href="#(.*?)"', text)
    assert len(set(anchors)) == len(anchors)
    assert len(set(links)) == len(links) == 2 * len(alike) + 2
    assert set(links) <= set(anchors)


def test_experiments_with_the_same_name_are_not_confused(tmp_path):
    first = finished_runs.make(tmp_path / "first", experiment="one (latent 4)", metrics={"knn_accuracy": 0.9})
    others = [finished_runs.make(tmp_path / str(latent), latent=latent) for latent in (4, 5)]
    [group] = experiments.group([first, *others]).values()
    assert [each.name for each in group][:2] == ["one (latent 4)"] * 2
    best = [cells[0][1] for _, cells in tables.make(group)[0].rows]
    assert best == [True, False, False]


def test_a_letter_that_the_pages_lack_is_set_in_an_installed_font(monkeypatch):
    assert typeset.markup("中 <b>") == r"\u4e2d &lt;b&gt;"
    # DejaVu's serif has a letter that the sans-serif does not need.
    serif = fonts.FOLDER / "DejaVuSerif.ttf"
    monkeypatch.setattr(fonts, "installed", lambda: (serif,))
    monkeypatch.setattr(fonts, "is_own", lambda letter: letter != "ß")
    assert typeset.markup("aßb") == 'a<font name="DejaVuSerif-installed">ß</font>b'
    assert fonts.families("aßb") == ["DejaVu Sans", "DejaVu Serif"]
