"""The benchmark of photographs: scores by hand, crops that can be made again."""

import numpy as np
from PIL import Image

from benchmarks import crops, photographs


def on_a_circle(degrees):
    angles = np.radians(degrees)
    return 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_same_picture_is_sought_among_all_other_crops():
    sources = np.array(["a", "a", "b", "a", "b"])
    first, precision, _ = photographs.scores(on_a_circle([0, 10, 20, 24, 90]), sources, sources)
    # The nearest are 1, 0, 3, 2, 3. Of a, with two others: (1, 2), (0, 2), (2, 1); of b, with one: 3 and 3.
    assert (first, precision) == (2 / 5, (1 / 2 + 1 / 2 + 0 + 1 / 2 + 0) / 5)


def test_the_kind_is_sought_among_the_crops_of_other_pictures():
    sources = np.repeat(["a", "b", "c"], [2, 5, 5])
    kinds = np.repeat(["x", "x", "y"], [2, 5, 5])
    degrees = [0, 1, *range(10, 15), *range(20, 25)]
    # Near a are the five of b; near each of b at most two of a, and at least three of c; near c the five of b.
    assert photographs.scores(on_a_circle(degrees), sources, kinds) == (1, 1, 2 / 12)


def test_crops_are_the_same_each_time_and_edits_do_not_move_them():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    plain, edited, again = (list(crops._crops(picture, edited=edits, seed=1)) for edits in (False, True, True))
    assert [each.size for each in plain] == [each.size for each in edited]
    assert {min(each.size) for each in plain} == {crops.SIDE}
    assert [each.tobytes() for each in edited] == [each.tobytes() for each in again]
    assert len({each.tobytes() for each in plain + edited}) == 2 * crops.CROPS
