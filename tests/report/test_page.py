"""The page in a browser: sorted tables, anchors below the bar, curves that can be hidden, and a dark page."""

import finished_runs
import pytest
from selenium.webdriver.support.ui import WebDriverWait

from jaxembed.report import __main__ as command
from jaxembed.report import comparison

NAMES = (
    "return [...document.querySelectorAll('.sortable')[0].tBodies[0].rows].map((row) => row.cells[0].textContent)"
)
IDLE = "return Bokeh.documents.length && Bokeh.documents.every((document) => document.is_idle)"
# Where a link leads to, from the bottom of the bar above it.
BELOW = """
location.hash = arguments[0]
const top = document.querySelector(arguments[0]).getBoundingClientRect().top
return top - document.querySelector("nav").getBoundingClientRect().bottom
"""
MODELS = "const models = Bokeh.documents.flatMap((document) => [...document.all_models]);"
INK = f"""{MODELS}
return models.filter((model) => model.type == "LinearAxis").map((axis) => axis.axis_label_text_color)"""
LINES = f"""{MODELS}
return models.filter((model) => model.type == "GlyphRenderer" && model.glyph.type == "Line")
  .filter((line) => line.visible).length"""
FIRST = f"{MODELS} models.find((model) => model.type == 'CheckboxButtonGroup').active = [1]"
pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def page(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "COMPARISONS", (comparison.CURVES,))
    for latent, (name, accuracy) in enumerate((("middle", 0.8), ("worst", 0.5), ("best", 0.9)), start=1):
        options = {"experiment": name, "latent": latent, "metrics": {"knn_accuracy": accuracy}}
        finished_runs.make(tmp_path / "runs" / name, **options)
    assert command.main([str(tmp_path / "runs"), f"--output={tmp_path / 'out'}"]) == 0
    browser.get((tmp_path / "out" / "report.html").as_uri())
    until(browser, lambda: browser.execute_script(IDLE))
    return browser


def until(browser, true):
    WebDriverWait(browser, 10, 0.05).until(lambda _: true())


def test_page_is_sorted_followed_hidden_and_dark(page):
    assert page.execute_script(NAMES) == ["best", "middle", "worst"]  # as the folders are read
    [head] = [each for each in page.find_elements("css selector", "th") if each.text.startswith("kNN %")][:1]
    head.click()
    assert page.execute_script(NAMES) == ["best", "middle", "worst"]
    head.click()
    assert page.execute_script(NAMES) == ["worst", "middle", "best"]
    page.find_elements("css selector", ".sortable th")[0].click()
    assert page.execute_script(NAMES) == ["worst", "middle", "best"]

    for anchor in ("#dataset-1", "#runs"):
        assert 0 <= page.execute_script(BELOW, anchor) < 40

    assert page.execute_script(LINES) == 6
    page.execute_script(FIRST)
    assert page.execute_script(LINES) == 2

    until(page, lambda: set(page.execute_script(INK)) == {"#1d2733"})
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    until(page, lambda: set(page.execute_script(INK)) == {"#e4e8ec"})
    assert [each for each in page.get_log("browser") if each["level"] == "SEVERE"] == []
