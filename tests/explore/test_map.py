"""The map in a browser: its colours, chips, names and thumbnails, and a second map that is linked."""

import numpy as np
import pytest
from shadow_dom import INSIDE

from jaxembed.embed import sources
from jaxembed.explore.atlas import Map

CHOOSE = INSIDE + """
const field = elements.find((element) => element.matches("select"))
field.value = arguments[0]
field.dispatchEvent(new Event("change"))
"""  # fmt: skip
CHIPS = INSIDE + """
return elements.filter((each) => each.matches(".chips button"))
  .map((each) => [each.title, each.matches(".on")])
"""  # fmt: skip
PRESS = INSIDE + "elements.filter((each) => each.matches('.chips button'))[arguments[0]].click()"
SCALE = INSIDE + "return elements.filter((each) => each.matches('.ends span')).map((each) => each.textContent)"
ENDS = INSIDE + """
const cut = elements.filter((each) => each.matches(".grid .end"))
return cut.map((each) => [getComputedStyle(each).direction, each.textContent, each.closest("figure").title])
"""  # fmt: skip
NAMES = "return named(arguments[0] + '-marks').data.name"
PICTURES = "return named(arguments[0] + '-pictures').data.url.length"
STATE = "const {data, selected} = points(); return [[...data.code], [...selected.indices]]"
VIEW = "const {x_range: x, y_range: y} = named('map'); return [x.start, x.end, y.start, y.end]"
NEAR = """
const {x_range, y_range} = named("map"), {x, y} = points().data
for (const [range, at] of [[x_range, x[arguments[0]]], [y_range, y[arguments[0]]]]) {
  range.have_updated_interactively = true
  range.setv({start: at - 1e-3, end: at + 1e-3})
}
"""


@pytest.fixture
def shown(serve, photos, embedded, browser):
    """The page with two maps and a CSV's column, in a browser."""
    second = np.where(np.arange(len(embedded.names))[:, None] < 4, np.nan, -embedded.positions).astype(np.float32)
    numbers = [f"{row}" for row in range(len(embedded.names))]
    with serve(
        None, embedded, sources.Pictures(photos), second=Map("<b>second", second), columns={"<i>n": numbers}
    ) as site:
        browser.get(site.door.address)
        yield browser
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_in_a_browser_the_maps_are_coloured_filtered_named_and_linked(shown, embedded):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

    def until(true):
        return wait(shown, 20, 0.1).until(lambda _: true())

    def do(script, *given):
        return shown.execute_script(script, *given)

    until(lambda: do("return window.Bokeh?.documents.length && points().data.name && colours.overlays?.length"))
    classes = sorted(set(embedded.labels))
    assert do(CHIPS) == [[name, False] for name in classes]
    until(lambda: do(PICTURES, "map") == len(embedded.names))
    view = do(VIEW)

    # Two chips add up; another selection releases them, and so does another colour.
    for chip in (0, 1):
        do(PRESS, chip)
    of_two = [row for row, label in enumerate(embedded.labels) if label in classes[:2]]
    assert do(STATE)[1] == of_two
    assert [is_on for _, is_on in do(CHIPS)] == [True, True, *[False] * (len(classes) - 2)]
    do("selection.rows = [3]")
    assert not any(is_on for _, is_on in do(CHIPS))
    do(PRESS, 0)
    do(CHOOSE, "cluster")
    until(lambda: len(do(CHIPS)) == 2)
    codes, selected = do(STATE)
    assert (set(codes), selected) == ({0, 1}, [])
    do(CHOOSE, "<i>n")
    assert until(lambda: do(SCALE)) == ["0", "11", "22"]
    assert do(STATE)[0][0::22] == [0, 255]
    do(CHOOSE, "class")
    until(lambda: do(CHIPS))

    # Few pictures are in view, so they are thumbnails, on each map those that are on it; the map has not moved.
    until(lambda: do(PICTURES, "map") == len(embedded.names))
    until(lambda: do(PICTURES, "map1") == len(embedded.names) - 4)
    do("named('query').setv({data: {x: [99], y: [99], x1: [99], y1: [99]}}, {sync: false})")
    do("return new Promise((done) => setTimeout(done, 300))")
    np.testing.assert_allclose(do(VIEW), view)
    assert set(until(lambda: do(NAMES, "map"))) <= set(classes)
    do(NEAR, 5)
    until(lambda: do(PICTURES, "map") == 1)
    assert do(PICTURES, "map1") == len(embedded.names) - 4

    # What is shown is marked on both maps; long names are cut at their beginning, in full in the title.
    do("pick(5)")
    until(lambda: do("return bar.row") == 5)
    star = do("const {x, x1} = named('query').data; return [x[0], x1[0]]")
    np.testing.assert_allclose(star, [embedded.positions[5, 0], -embedded.positions[5, 0]], rtol=1e-5)
    ends = until(lambda: do(ENDS))
    assert all(direction == "rtl" and text == title for direction, text, title in ends)


def test_a_colour_that_there_is_not_is_not_found(site):
    assert site.ask("/colours/class")[0] == 200
    assert site.ask("/colours/nothing")[0] == 404
    assert site.ask("/colours/folder")[0] == 404
