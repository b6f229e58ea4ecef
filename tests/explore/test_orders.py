"""Orders of all pictures."""

import os

import numpy as np
import pytest

from jaxembed.doctor import examination
from jaxembed.embed.sources import Pictures
from jaxembed.embed.vectors import About, Vectors
from jaxembed.explore import orders
from jaxembed.explore.orders import Orders
from jaxembed.types import Batch, Dataset

RANDOM = np.random.default_rng(0)


def embedded(points, names=None, distance="cosine"):
    names = names or [f"{row}.png" for row in range(len(points))]
    return Vectors(points.astype(np.float32), names, [""] * len(names), About("", "x", "", distance))


def test_names_are_ordered_as_people_count_and_dates_with_the_newest_first(tmp_path):
    names = ["IMG_10.jpg", "img_9.jpg", "a/2.jpg", "a/10.jpg", "9" * 5000, "../outside.jpg", "\0"]
    for age, name in enumerate(("img_9.jpg", "IMG_10.jpg")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    made = Orders(embedded(np.ones((7, 2)), names), Pictures(tmp_path))
    assert [names[row] for row in made.by("name")] == [names[at] for at in (4, 6, 5, 2, 3, 1, 0)]
    assert made.by("date").tolist() == [1, 0, 2, 3, 4, 5, 6]
    assert list(Orders(embedded(np.ones((2, 2))), None).kinds) == ["name"]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_likeness_is_the_distance_from_a_row_which_comes_first(distance, monkeypatch):
    monkeypatch.setattr(orders, "_BLOCK", 16)
    points = RANDOM.normal(size=(50, 5)) + 1
    points[7] = points[31]
    places = points / np.linalg.norm(points, axis=1, keepdims=True) if distance == "cosine" else points
    found = Orders(embedded(points, distance=distance), None).by_likeness(31)
    assert found[:2].tolist() == [31, 7]
    assert found.dtype == np.int32
    wanted = np.linalg.norm(places - places[31], axis=1)
    np.testing.assert_allclose(wanted[found], np.sort(wanted), atol=1e-6)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_outliers_are_in_the_order_of_the_doctor(distance, monkeypatch):
    monkeypatch.setattr(orders, "_BLOCK", 16)
    points = RANDOM.normal(size=(60, 4)).astype(np.float32)
    points[9] = points[8]
    dataset = Dataset("x", (), Batch(None, np.full(60, -1, np.int32)), None, None)
    table = examination.examine(dataset, {"train": points}, distance=distance).tables["outliers"]
    found = Orders(embedded(points, distance=distance), None).by("outliers")
    assert [f"train/{row}" for row in found] == table.names[:, 0].tolist()


def test_of_very_many_pictures_outliers_are_far_from_a_sample(monkeypatch):
    points = RANDOM.normal(size=(300, 4))
    points[[17, 203]] = [[40], [-30]]
    monkeypatch.setattr(orders, "SAMPLE", 50)
    monkeypatch.setattr(orders, "_BLOCK", 64)
    found = Orders(embedded(points, distance="euclidean"), None).by("outliers")
    assert found[:2].tolist() == [17, 203]
    assert sorted(found) == list(range(300))
    assert Orders(embedded(points[:3]), None).by("outliers").shape == (3,)
