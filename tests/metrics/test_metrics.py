"""Every measure in the folder keeps the contract, and knows no run."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxembed import metrics
from jaxembed.metrics import Measured, Rows, probe

MODULES = {module.__name__.rpartition(".")[2]: module for module in metrics.modules()}
FITTED = [name for name, module in MODULES.items() if hasattr(module, "fit")]
SETTINGS = dict(dropout=0.0, epochs=3, batch_size=16, learning_rate=0.05, weight_decay=0.0)
PROTOCOL = SimpleNamespace(
    neighbours=3,
    distance="euclidean",
    linear=probe.Settings(hidden=(), **SETTINGS),
    mlp=probe.Settings(hidden=(8,), **SETTINGS),
)


def rows(n: int, seed: int) -> Rows:
    """Three blobs in five dimensions, of which kNN predicts some wrong."""
    random = np.random.default_rng(seed)
    labels = (np.arange(n) % 3).astype(np.int32)
    points = random.normal(size=(n, 5)) + 3 * np.eye(5)[labels]
    pair = tuple((points + 0.1 * random.normal(size=points.shape)).astype(np.float32) for _ in range(2))
    predictions = {"knn": np.where(random.random(n) < 0.2, 1, labels)}
    return Rows(points.astype(np.float32), labels, 3, pair=pair, predictions=predictions)


@pytest.mark.parametrize("name", MODULES)
def test_a_measure_has_columns_that_say_what_they_mean(name):
    module = MODULES[name]
    assert isinstance(module.POSITION, int)
    for column in module.COLUMNS:
        assert column.better in (-1, 0, 1)
        assert column.table in ("", "accuracy", "few labels", "geometry", "views")
        assert column.label
        assert column.meaning.endswith(".")


def test_no_two_measures_share_a_column_or_a_position():
    names = [column.name for column in metrics.columns()]
    assert len(set(names)) == len(names)
    assert len({module.POSITION for module in MODULES.values()}) == len(MODULES)


@pytest.mark.parametrize("name", FITTED)
def test_measures_fill_their_columns_deterministically(name):
    module = MODULES[name]
    train, test = rows(400, 0), rows(30, 1)
    measured, again = (metrics.fit(module, train, PROTOCOL)(test) for _ in range(2))
    assert isinstance(measured, Measured)
    assert set(measured.numbers) == {column.name for column in module.COLUMNS}
    assert np.isfinite(list(measured.numbers.values())).all()
    assert measured.numbers == again.numbers
    for predicted in measured.predictions.values():
        assert predicted.shape == (30,)
        assert set(predicted) <= {0, 1, 2}


@pytest.mark.parametrize("name", FITTED)
def test_measures_of_a_collapsed_embedding_are_finite(name):
    flat = rows(30, 0)._replace(points=np.ones((30, 5), np.float32))
    numbers = metrics.fit(MODULES[name], flat, PROTOCOL)(flat).numbers
    assert not np.isnan(list(numbers.values())).any()
