"""The end of a run says what matters for its way of learning, and what is good or bad about it."""

import pytest

from jaxembed import objectives
from jaxembed.core import options
from jaxembed.report import summary

GOOD = {
    "validation/knn_accuracy": 0.9,
    "test/knn_accuracy": 0.9,
    "test/mlp_accuracy": 0.92,
    "test/rankme": 20.0,
    "test/l1": 0.05,
    "test/linear_accuracy": 0.91,
}


def record(**more):
    metrics = GOOD | {f"test/{name}": value for name, value in more.items()}
    metrics = {name: value for name, value in metrics.items() if value != "missing"}
    return {"objective": "reconstruct", "split": "test", "collapsed": False, "metrics": metrics}


@pytest.mark.parametrize(
    ("more", "beaten", "sentence"),
    [
        ({}, True, "Good: nearest neighbours have the same class (kNN 90.00%, chance 10.00%)."),
        ({"knn_accuracy": 0.12}, True, "Bad: the classes are hardly in it (kNN 12.00%, chance 10.00%)."),
        ({}, False, "Bad: a control that learns nothing is as good (kNN 90.00%, chance 10.00%)."),
        (
            {"mlp_accuracy": 1.0, "knn_accuracy": 0.85},
            True,
            "Mixed: it holds the classes (MLP 100.00%), but not as",
        ),
        (
            {"rankme": 2.04},
            True,
            "Mixed: the classes are in it (kNN 90.00%, chance 10.00%), but it uses only 2.0 dim",
        ),
        (
            {"knn_accuracy": 0.75, "mlp_accuracy": 0.8},
            True,
            "Mixed: kNN on test is 15.00% lower than on validation",
        ),
        (
            {"knn_accuracy": "missing"},
            True,
            "Without labels nothing says what it is worth; it uses about 20 dimensions",
        ),
    ],
)
def test_the_worst_about_a_run_is_said_in_a_sentence(more, beaten, sentence):
    assert summary.verdict(record(**more), chance=0.1, beaten=beaten).startswith(sentence)


def test_a_collapse_comes_before_everything_else():
    collapsed = record(knn_accuracy=0.1) | {"collapsed": True}
    assert summary.verdict(collapsed, chance=0.1, beaten=False).startswith("Warning: the embedding has collapsed")


def test_the_headline_is_what_matters_for_the_way_of_learning():
    names = [column.name for column in summary.headline(record())]
    assert names == ["l1", "knn_accuracy", "linear_accuracy", "mlp_accuracy", "rankme"]
    assert summary.headline(record() | {"objective": "ntxent"})[0].name == "knn_accuracy"
    assert summary.FIVE.keys() < set(options.names(objectives))


def test_the_headline_has_percentages_and_a_column_for_each_split(capsys):
    summary.table(GOOD, summary.headline(record()))
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.split() == ["validation", "test"]
    assert rows[1].split() == ["kNN", "90.00%", "90.00%"]
    assert rows[0].split() == ["L1", "0.0500"]
    assert len({len(row) for row in rows}) == 1
