"""The theory page is correct: its examples run, and its tables and quoted results are what is computed."""

import doctest
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "theory.md"
TEXT = PAGE.read_text()
QUESTIONS = re.split(r"^## (?=\d)", TEXT, flags=re.MULTILINE)[1:]
FENCED = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINK = r"\[(\w+)\]\(results/\1/seed0\.json\)"


def load(name: str) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def metrics(name: str) -> dict[str, float]:
    return json.loads((ROOT / "docs" / "results" / name / "seed0.json").read_text())["metrics"]


def table(head: str) -> list[list[str]]:
    """Read the cells of the only table whose header starts with this, without the header."""
    (lines,) = re.findall(rf"^{re.escape(head)}.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines.splitlines()]


def half_a_unit(number: str) -> float:
    """Half a unit of a number's last digit, and a little more, because a half may be rounded either way."""
    return 0.501 * 10.0 ** -len(number.partition(".")[2])


@pytest.fixture(scope="module")
def names() -> dict:
    """Run the page as `python -m doctest` does, and keep the names that its examples define."""
    page = doctest.DocTestParser().get_doctest(TEXT, {"__name__": "__main__"}, PAGE.name, str(PAGE), 0)
    output = []
    failed, attempted = doctest.DocTestRunner(verbose=False).run(page, out=output.append, clear_globs=False)
    if failed:
        pytest.fail(f"{failed} of {attempted} examples print something else:\n{''.join(output)}", pytrace=False)
    return page.globs


def test_examples_print_what_the_page_shows(names):
    assert {"bound", "mean_ntxent", "table"} <= names.keys()


def test_every_question_has_an_example_that_prints_and_no_example_is_hidden():
    assert len(QUESTIONS) == 14
    for number, question in enumerate(QUESTIONS, start=1):
        assert question.startswith(f"{number}. ")
        assert any(example.want for example in doctest.DocTestParser().get_examples(question)), question[:80]
    # After one broken fence, the examples are only text.
    assert 2 * len(FENCED) == TEXT.count("```")
    fenced = sum(block.count(">>> ") for block in FENCED)
    assert fenced == TEXT.count(">>> ") == len(doctest.DocTestParser().get_examples(TEXT))


def test_every_link_has_a_target():
    titles = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        known = link[1:] in anchors if link.startswith("#") else (PAGE.parent / link).exists()
        assert known or link.startswith("https://arxiv.org/abs/"), link
    for number, address in re.findall(r"\[arXiv:([\d.]+)\]\((.*?)\)", TEXT):
        assert address == f"https://arxiv.org/abs/{number}"


def test_the_table_of_four_embeddings_equals_the_measurements(names):
    measured = names["table"]
    assert list(measured) == ["collapsed", "rank 1", "noise", "clusters"]
    rows = table("| metric | collapsed | rank 1 | noise | clusters |")
    assert sorted(row[0] for row in rows) == sorted(f"`{metric}`" for metric in measured["noise"])
    for metric, *cells, _ in rows:
        for (embedding, measures), cell in zip(measured.items(), cells, strict=True):
            value = f"{float(measures[metric.strip('`')]) + 0.0:.2f}"
            assert cell == value, f"{metric} of {embedding} is {value}, but the page has {cell}"


def test_quoted_results_equal_their_files():
    quoted = re.findall(LINK + r"\sended\swith\s`([\w/]+)` (\d+\.\d+)", TEXT)
    rows = [(re.fullmatch(LINK, link)[1], cells) for link, *cells in table("| run | kNN | linear | MLP |")]
    # Every link to a result comes with a number that is compared here.
    assert len(quoted) + len(rows) == TEXT.count("](results/") >= 7
    for name, metric, number in quoted:
        assert abs(metrics(name)[metric] - float(number)) <= half_a_unit(number), f"{name}: {metric}"
    for name, cells in rows:
        accuracies = [metrics(name)[f"test/{classifier}_accuracy"] for classifier in ("knn", "linear", "mlp")]
        assert cells == [f"{100 * accuracy:.2f}" for accuracy in accuracies], name


def test_simclr_mnist_is_compared_with_the_bound_of_its_own_batch_and_temperature(names):
    simclr, loss = load("simclr_mnist"), metrics("simclr_mnist")["validation/loss"]
    assert (2 * simclr.train.batch_size, simclr.objective.temperature) == (512, 0.5)
    assert simclr.objective.projection[-1] == 64
    floor, collapsed = names["bound"](512, 0.5), np.log(511)
    assert floor < loss < floor + (collapsed - floor) / 4


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_no_embedding_is_below_the_bound(names, temperature):
    random = np.random.default_rng(3)
    least = min(names["mean_ntxent"](random.normal(size=(8, 3)), temperature) for _ in range(20))
    assert least > names["bound"](8, temperature)


def test_configs_agree_with_the_page():
    for file in (ROOT / "configs").glob("*.py"):
        if file.name == "protocols.py":  # what experiments share, not an experiment
            continue
        if "objective" in (config := load(file.stem)):
            distance = "euclidean" if config.objective.name in ("margin", "triplet") else "cosine"
            assert config.evaluate.distance == distance, file.name
    for dataset, layers in {"mnist": 0, "fashion_mnist": 1, "cifar": 1}.items():
        assert len(load(f"classifier_{dataset}").objective.hidden) == layers
