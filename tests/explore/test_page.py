"""The page in a browser."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from shadow_dom import INSIDE

from jaxembed.core import files
from jaxembed.embed import index, projection
from jaxembed.explore.page import WITHOUT

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0))
const transfer = new DataTransfer()
transfer.items.add(new File([bytes], "<b>new.png", {type: "image/png"}))
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}))
"""
TEXT = INSIDE + """
const texts = elements.filter((element) => element.matches("p, figcaption")).map((element) => element.textContent)
const shown = elements.filter((element) => element.matches(".grid img") && element.naturalWidth).length
const save = elements.find((element) => element.matches("button.bk-btn"))
return [texts, shown, save && !save.disabled]
"""  # fmt: skip
SAVE = INSIDE + """
const {createObjectURL} = URL
URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text })
  return createObjectURL(blob) }
elements.filter((element) => element.matches("button.bk-btn"))[arguments[0]].click()
"""  # fmt: skip
QUERY = """
const {data} = Bokeh.documents[0].get_model_by_name("map").renderers[1].data_source
return [[...data.x], [...data.y]]
"""
LASSO = "Bokeh.documents[0].get_model_by_name('map').renderers[0].data_source.selected.indices = [0, 3, 5]"
APART = INSIDE + """
const place = (selector) => elements.filter((each) => each.matches(selector)).at(-1).getBoundingClientRect()
return place("button.bk-btn").bottom <= place(".grid").top
"""  # fmt: skip
CHOOSE = INSIDE + "return elements.find((element) => element.matches('input[type=file]'))"
COLUMNS = INSIDE + """
const last = elements.filter((each) => each.matches(".grid img")).slice(-3)
return new Set(last.map((each) => each.x)).size
"""  # fmt: skip
ASK = INSIDE + """
const field = elements.find((element) => element.matches("input[type=search]"))
field.value = arguments[0]
field.dispatchEvent(new Event("change"))
"""  # fmt: skip
CLICK = INSIDE + """
const [figure] = elements.filter((element) => element.matches(".grid figure") && element.title == arguments[0])
figure.click()
"""  # fmt: skip
CHOSEN = INSIDE + """
const find = (selector) => elements.find((element) => element.matches(selector))
return [find(".chosen b")?.textContent, find(".chosen img")?.naturalWidth, elements.length]
"""  # fmt: skip
FIND = INSIDE + """
const field = elements.find((element) => element.matches("input[type=text]"))
field.value = arguments[0]
field.dispatchEvent(new Event("change"))
"""  # fmt: skip
CHIP = INSIDE + "elements.filter((element) => element.matches('.chips button'))[arguments[0]].click()"
SELECTED = "return [...Bokeh.documents[0].get_model_by_name('map').renderers[0].data_source.selected.indices]"
TAP = "Bokeh.documents[0].get_model_by_name('map').renderers[0].data_source.selected.indices = [arguments[0]]"
NAMES = "return Bokeh.documents[0]?.get_model_by_name('map').renderers[0].data_source.data.name"


def test_in_a_browser_a_new_picture_is_found_and_a_selection_is_listed(site, browser, photos, embedded, encoder):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

    def until(true):
        return wait(browser, 20, 0.1).until(lambda _: true(browser.execute_script(TEXT)))

    def drop(content):
        browser.execute_script(DROP, base64.b64encode(content).decode())

    browser.get(site.door.address)
    until(lambda state: any(f"{len(embedded.names)} images in the embedding of quick" in text for text in state[0]))
    assert browser.current_url == f"http://127.0.0.1:{site.port}/"
    names = [files.printable(name) for name in embedded.names]
    assert wait(browser, 20, 0.1).until(lambda _: browser.execute_script(NAMES)) == names
    drop((photos / "02.png").read_bytes())
    texts, *_ = until(lambda state: state[1] == 12 and state)
    assert any(text.startswith("<b>new.png and its nearest neighbours") for text in texts)
    assert "0.000 02.png" in texts
    position = np.ravel(browser.execute_script(QUERY))
    np.testing.assert_allclose(position, embedded.positions[embedded.names.index("02.png")], atol=1e-2)
    browser.execute_script(LASSO)
    texts, _, can_save = until(lambda state: state[1] == 15 and state)
    assert "3 selected" in texts
    assert browser.execute_script(COLUMNS) == 3  # the list is as wide as its column
    assert browser.execute_script(APART)  # no button lies over the list
    assert can_save
    chosen = [names[row] for row in (0, 3, 5)]
    assert set(chosen) <= set(texts)
    paths = [str(photos / embedded.names[row]) for row in (0, 3, 5)]
    table = [f"{row},{name},{name[0]},{path}" for row, name, path in zip((0, 3, 5), chosen, paths, strict=True)]
    for kind, lines in enumerate((chosen, paths, ["row,name,label,path", *table])):
        browser.execute_script("window.saved = null")
        browser.execute_script(SAVE, kind)
        saved = wait(browser, 20, 0.1).until(lambda _: browser.execute_script("return window.saved"))
        assert saved.splitlines() == lines

    browser.refresh()  # the cookie is enough
    until(lambda state: state[0] and state[1] == 0)
    large = io.BytesIO()
    Image.new("1", (9000, 9000)).save(large, "PNG")
    drop(large.getvalue())
    until(lambda state: any("it has more than 50 million pixels" in text for text in state[0]))
    assert browser.execute_script(QUERY) == [[], []]
    browser.execute_script(CHOOSE).send_keys(str(photos / "03.png"))
    texts, *_ = until(lambda state: state[1] == 12 and state)
    assert "0.000 03.png" in texts
    browser.execute_script(ASK, "a <i>dog</i>")
    texts, *_ = until(lambda state: state[1] == 12 and any(text.startswith("a <i>") for text in state[0]) and state)
    assert any(text.startswith("a <i>dog</i> and its nearest neighbours") for text in texts)
    position = np.ravel(browser.execute_script(QUERY))
    nearest = index.make(embedded.embeddings, distance="cosine").search(encoder.embed_text("a <i>dog</i>"), 12)
    np.testing.assert_allclose(position, projection.interpolate(embedded.positions, nearest)[0], atol=1e-2)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_in_a_browser_without_an_encoder_the_page_says_why_and_lists_a_selection(
    site_without_encoder, browser, photos, embedded
):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

    def until(true):
        return wait(browser, 20, 0.1).until(lambda _: true(browser.execute_script(TEXT)))

    browser.get(site_without_encoder.door.address)
    texts, *_ = until(
        lambda state: any("images in the embedding of <b>dino" in text for text in state[0]) and state
    )
    assert WITHOUT in texts
    assert not browser.execute_script(CHOOSE)
    wait(browser, 20, 0.1).until(lambda _: browser.execute_script(NAMES))
    browser.execute_script(LASSO)
    until(lambda state: state[1] == 3)
    browser.execute_script(DROP, base64.b64encode((photos / "02.png").read_bytes()).decode())
    until(lambda state: state[0].count(WITHOUT) == 2)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_in_a_browser_a_click_shows_the_picture_and_its_neighbours_and_back_returns(site, browser, embedded):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    names = [files.printable(name) for name in embedded.names]
    nearest = index.make(embedded.embeddings, distance="cosine").search(embedded.embeddings[4:5], 3).rows[0]
    other = next(row for row in nearest.tolist() if row != 4)

    def shows(row):
        name, width, _ = browser.execute_script(CHOSEN)
        return name == names[row] and width

    browser.get(site.door.address)
    wait(browser, 20, 0.1).until(lambda _: browser.execute_script(NAMES) == names)
    browser.execute_script(TAP, 4)
    wait(browser, 20, 0.1).until(lambda _: shows(4))
    np.testing.assert_allclose(np.ravel(browser.execute_script(QUERY)), embedded.positions[4], atol=1e-5)
    browser.execute_script(CLICK, names[other])
    wait(browser, 20, 0.1).until(lambda _: shows(other))
    browser.back()
    wait(browser, 20, 0.1).until(lambda _: shows(4))
    browser.forward()
    wait(browser, 20, 0.1).until(lambda _: shows(other))
    browser.execute_script(FIND, "01.P")
    assert browser.execute_script(SELECTED) == [row for row, name in enumerate(names) if "01.p" in name.lower()]
    browser.execute_script(CHIP, 0)
    first = min(embedded.labels)
    assert browser.execute_script(SELECTED) == [row for row, label in enumerate(embedded.labels) if label == first]
    browser.execute_script(CHIP, 0)
    assert browser.execute_script(SELECTED) == []
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
