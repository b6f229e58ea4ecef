"""The bar above the map, in a browser: the grid, the selection, its tags, its vectors and its copies."""

import numpy as np
import pytest
from shadow_dom import INSIDE

from jaxembed.core import files
from jaxembed.embed import index

SELECTED = "return [...points().selected.indices]"
SHOWN = "return [...document.querySelectorAll('#everything figure')].map((each) => each.title)"
CHOSEN = INSIDE + "return elements.find((element) => element.matches('.chosen b'))?.textContent"
NEAR = INSIDE + """
const [figure] = elements.filter((element) => element.matches(".grid figure") && element.title == arguments[0])
figure.dispatchEvent(new MouseEvent("click", {shiftKey: arguments[1], bubbles: true, composed: true}))
"""  # fmt: skip
CLICK = """
const [figure] = [...document.querySelectorAll("#everything figure")].filter((each) => each.title == arguments[0])
const target = figure.querySelector(arguments[1])
target.dispatchEvent(new MouseEvent("click", {shiftKey: arguments[2], bubbles: true}))
"""
# Where a point of the map is on the screen, from the middle of its frame.
POINT = """
const map = Bokeh.documents[0].get_model_by_name("map"), {data} = points()
const [view] = [...Bokeh.index.all_views()].filter((each) => each.model == map)
const {x_scale, y_scale, bbox} = view.frame, box = view.el.getBoundingClientRect()
return [box.x + x_scale.compute(data.x[arguments[0]]), box.y + y_scale.compute(data.y[arguments[0]])]
"""
SAVED = """
const {createObjectURL} = URL
URL.createObjectURL = (blob) => { window.saved = blob.size; return createObjectURL(blob) }
document.querySelector("#selection [value=vectors]").click()
"""
TAG = """
const form = document.querySelector("#tagging")
form.elements[0].value = arguments[0]
form.requestSubmit()
"""
DRAWN = "return Bokeh.documents[0].get_model_by_name('map').renderers.map((each) => each.visible)"
PRESS = "document.querySelector(arguments[0]).click()"
CHIPS = "return [...document.querySelectorAll('.tag')].map((each) => each.textContent)"
TOLD = "return document.querySelector('#told').textContent"
PLACES = """
const place = (figure) => [figure.offsetLeft, figure.offsetTop]
return [...document.querySelectorAll("#everything figure")].map(place)
"""


class Page:
    """The page in a browser, and what is done with it."""

    def __init__(self, browser, address):
        self.browser = browser
        self.wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
        browser.get(address)
        self.until(lambda: self.do("return document.querySelector('#count') && window.Bokeh?.documents.length"))
        self.until(lambda: self.do("return points().data.name && bar.grid"))

    def do(self, script, *given):
        return self.browser.execute_script(script, *given)

    def until(self, true):
        return self.wait(self.browser, 20, 0.1).until(lambda _: true())

    def selects(self, rows):
        self.until(lambda: self.do(SELECTED) == rows)

    def click(self, row, *, shift=False):
        """Click a point of the map with a mouse."""
        chains = pytest.importorskip("selenium.webdriver.common.action_chains")
        actions = chains.ActionBuilder(self.browser)
        if shift:
            actions.key_action.key_down("\ue008")
        actions.pointer_action.move_to_location(*map(round, self.do(POINT, row))).click()
        actions.perform()
        if shift:
            chains.ActionChains(self.browser).key_up("\ue008").perform()


def test_in_a_browser_pictures_are_selected_tagged_saved_and_copied(site, browser, embedded, tmp_path):
    page, names = Page(browser, site.door.address), [files.printable(name) for name in embedded.names]
    # Of the points, those that no other one covers.
    apart = np.linalg.norm(embedded.positions[:, None] - embedded.positions, axis=2) + np.eye(len(names))
    first, second = np.argsort(-apart.min(axis=1))[:2].tolist()
    page.click(first)
    page.selects([first])
    page.until(lambda: page.do(CHOSEN) == names[first])
    page.click(second, shift=True)
    page.selects(sorted([first, second]))
    page.click(second, shift=True)
    page.selects([first])
    near = index.make(embedded.embeddings, distance="cosine").search(embedded.embeddings[first : first + 1], 3)
    other = next(row for row in near.rows[0].tolist() if row != first)
    page.until(lambda: page.do(CHOSEN) == names[first])
    page.do(NEAR, names[other], True)
    page.selects(both := sorted([first, other]))
    assert page.do(CHOSEN) == names[first]

    page.do(TAG, "<i>best</i>")
    page.until(lambda: page.do(CHIPS) == ["<i>best</i> 2+−"])
    assert page.do(TOLD) == "<i>best</i>: given to 2 of 2 pictures"
    page.do(PRESS, "#selection [value=copies]")
    page.until(lambda: page.do(TOLD) == f"2 of 2 pictures copied into {tmp_path / 'copies'}")
    page.do(SAVED)
    page.until(lambda: (page.do("return window.saved") or 0) > 2 * 4 * embedded.embeddings.shape[1])
    page.do(PRESS, "#selection [value=clear]")
    page.selects([])
    assert page.do("return document.querySelectorAll('#selection button:enabled').length") == 0
    page.do(PRESS, ".tag button")
    page.selects(both)
    page.do(NEAR, names[other], True)
    page.selects([first])
    page.do(PRESS, ".tag .change:last-child")
    page.until(lambda: page.do(CHIPS) == ["<i>best</i> 1+−"])
    with (tmp_path / "v.tags.csv").open("a") as stream:
        stream.write("01.png,2019\n")
    page.do("dispatchEvent(new Event('focus'))")
    page.until(lambda: page.do(CHIPS) == ["2019 1+−", "<i>best</i> 1+−"])
    (tmp_path / "v.tags.csv").write_text("broken")
    page.do(TAG, "x")
    page.until(lambda: "v.tags.csv does not hold tags" in page.do(TOLD))
    assert (tmp_path / "v.tags.csv").read_text() == "broken"
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_in_a_browser_the_grid_has_all_pictures_in_an_order_and_loads_those_in_view(site, browser, embedded):
    browser.set_window_size(800, 500)
    page, names = Page(browser, site.door.address), [files.printable(name) for name in embedded.names]
    for _ in range(2):
        page.do(PRESS, "#views [value=grid]")
    page.until(lambda: page.do(SHOWN))
    assert not any(page.do(DRAWN))
    shown = page.do(SHOWN)
    assert shown[:2] == ["00.png", "01.png"]
    assert len(shown) < len(names)
    page.do("document.querySelector('#everything').scrollTop = 1e6")
    page.until(lambda: names[-1] in page.do(SHOWN))
    assert "00.png" not in page.do(SHOWN)
    assert len(set(map(tuple, page.do(PLACES)))) == len(page.do(SHOWN))
    page.do("document.querySelector('#everything').scrollTop = 0")
    page.until(lambda: page.do(SHOWN) and names[-1] not in page.do(SHOWN))
    page.do("document.querySelector('#everything').scrollTop = 1e6")
    page.until(lambda: names[-1] in page.do(SHOWN))
    assert page.do("return document.querySelector('#orders [value=likeness]').disabled")
    page.do(CLICK, names[-1], "img", False)
    page.until(lambda: page.do(CHOSEN) == names[-1])
    assert page.do(SELECTED) == []
    page.do(PRESS, "#orders [value=likeness]")
    page.until(lambda: page.do(SHOWN)[0] == names[-1])
    near = index.make(embedded.embeddings, distance="cosine").search(embedded.embeddings[-1:], 4).rows[0].tolist()
    assert page.do(SHOWN)[:4] == [names[row] for row in near]
    page.do(CLICK, names[near[1]], "img", True)
    page.selects([near[1]])
    page.do(CLICK, names[near[0]], ".check", False)
    page.do(CLICK, names[near[3]], ".check", True)
    page.selects(sorted(near))
    page.do(PRESS, "#only")
    page.until(lambda: page.do(SHOWN) == [names[row] for row in near])
    page.do(CLICK, names[near[2]], "img", True)
    page.until(lambda: page.do(SHOWN) == [names[near[at]] for at in (0, 1, 3)])
    page.do(PRESS, "#only")
    page.do(PRESS, "#orders [value=outliers]")
    page.until(lambda: page.do("return document.querySelector('#orders .on').value") == "outliers")
    page.do(PRESS, "#views [value=map]")
    assert not page.do("return document.querySelector('#everything').clientWidth")
    assert all(page.do(DRAWN))
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
