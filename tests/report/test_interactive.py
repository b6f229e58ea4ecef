"""The interactive view: what a point shows, what a click hides, and that it asks no network for anything."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from bokeh.models import PlainText
from PIL import Image
from shadow_dom import INSIDE

from jaxembed.artifacts.finished import Finished
from jaxembed.artifacts.samples import Sample
from jaxembed.figures import names, style
from jaxembed.report import interactive

REPORT = Path(__file__).parents[2] / "docs" / "results" / "report_mnist" / "report.html"
CLASSES = ('</script><b onclick="x">', "$$x$$ & 'y'", "@image{safe}")
N, NEAR = 30, 5


def finished(seed: int, classes: tuple[str, ...] = CLASSES, channels: int = 1, first: int = 0) -> Finished:
    """A run whose points lie far apart; runs on the same images differ in all else."""
    images = np.random.default_rng(len(classes)).integers(0, 256, (N, 9, 7, channels)).astype(np.uint8)
    random = np.random.default_rng(seed)
    labels = (np.arange(N) % len(classes)).astype(np.int32)
    none = dict.fromkeys(Sample._fields)
    sample = none | {
        "classes": np.array(classes),
        "rows": first + np.arange(N),
        "images": images,
        "labels": labels,
        "predicted": np.where(random.random(N) < 0.4, (labels + 1) % len(classes), labels),
        "points": random.permutation([(3 * x, y) for x in range(6) for y in range(5)]).astype(np.float32),
        "nearest": np.array([random.permutation(np.delete(np.arange(N), i))[:NEAR] for i in range(N)], np.int32),
    }
    return Finished(Path(), {}, {}, [], Sample(**sample))


def embedded(*runs: Finished) -> str:
    return interactive.embed(interactive.view([(f"run {i}", run) for i, run in enumerate(runs)]), "here")


def uri(run: Finished, row: int) -> str:
    return interactive.data_uri(run.sample.images[row])


def test_image_is_embedded_once_for_all_runs_that_show_it():
    run, other, elsewhere = finished(0), finished(1), finished(2, first=N)
    together, apart = embedded(run, other), embedded(run, elsewhere, other)
    assert {together.count(uri(run, row)) for row in range(N)} == {1}
    assert {apart.count(uri(run, row)) for row in range(N)} == {2}
    assert "Not all plots show the same images" in apart
    assert "Not all plots show the same images" not in together


def test_source_has_each_runs_prediction_and_position_of_an_image():
    runs = finished(0), finished(1)
    source = interactive.source_of([run.sample for run in runs]).data
    for place, run in enumerate(runs):
        nearest = np.stack([source[f"near{place}_{i}"] for i in range(NEAR)], axis=1)
        np.testing.assert_array_equal(nearest, run.sample.nearest)
        np.testing.assert_array_equal(source[f"predicted{place}"], run.sample.predicted)
        np.testing.assert_array_equal(source[f"wrong{place}"], run.sample.predicted != run.sample.labels)
        # One scale for both axes: 15 wide, 4 high.
        x, y = source[f"x{place}"], source[f"y{place}"]
        np.testing.assert_allclose(x, run.sample.points[:, 0] / 7.5 - 1, atol=1e-6)
        np.testing.assert_allclose(y, (run.sample.points[:, 1] - 2) / 7.5, atol=1e-6)


def test_equal_points_are_drawn_in_the_middle():
    sample = finished(0).sample
    source = interactive.source_of([sample._replace(points=np.full((N, 2), 3, np.float32))])
    assert not source.data["x0"].any()
    assert not source.data["y0"].any()


def test_points_are_limited_but_their_neighbours_images_are_not(monkeypatch):
    monkeypatch.setattr(interactive, "LIMIT", 4)
    run = finished(0)
    # The last is far off, and must not push those that are shown together.
    run = run._replace(sample=run.sample._replace(points=np.r_[run.sample.points[:-1], [[900, 900]]]))
    layout = interactive.view([("run", run)])
    [plot] = layout.children[1].children
    points, named = plot.renderers
    assert named.data_source.data["name"] == [names.written(name, interactive.INSIDE) for name in CLASSES]
    assert points.view.filter.indices == [0, 1, 2, 3]
    assert max(np.abs(points.data_source.data["x0"][:4])) == pytest.approx(1)
    needed = {0, 1, 2, 3, *run.sample.nearest[:4].flat}
    images = points.data_source.data["image"]
    assert images == [uri(run, row) if row in needed else "" for row in range(N)]
    assert "4 of 30 sampled test images" in layout.children[2].text


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_survives_as_a_data_uri(channels):
    image = np.zeros((9, 7, channels), np.uint8)
    image[:4, :, -1] = 250
    kind, encoded = interactive.data_uri(image).split(",")
    assert kind == "data:image/webp;base64"
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"), int)
    # Lossy: right where colours do not change.
    assert abs(decoded[0, 0, -channels:] - image[0, 0]).max() < 40
    assert abs(decoded[-1, -1, -channels:] - image[-1, -1]).max() < 40
    assert decoded.shape == (9, 7, 3)


def test_a_name_cannot_end_the_script():
    page = embedded(finished(0))
    assert page.count("<") == len(["<div", "</div", "<script", "</script"])
    item = re.search(r"embed_item\((.*)\)", page)[1]
    assert json.dumps(CLASSES[0]).encode().decode("unicode_escape") in json.dumps(json.loads(item)).replace(
        "\\", ""
    )


def test_names_are_not_typeset_as_mathematics():
    [plot] = interactive.view([("$$x$$", finished(0))]).children[1].children
    assert isinstance(plot.title.text, PlainText)
    assert plot.title.text.text == "$$x$$"


def test_more_classes_than_the_palette_has_colours():
    names = tuple(f"class {i}" for i in range(len(style.PALETTE) + 2))
    layout = interactive.view([("run", finished(0, classes=names))])
    assert layout.children[0].labels == list(names)
    colours = layout.children[1].children[0].renderers[0].glyph.fill_color.transform.palette
    assert len(set(colours)) == len(names)


@pytest.mark.parametrize("count", [3, 9, 10, 11, 12, 37, 43, 100])
def test_every_point_has_its_classs_colour(count):
    names = tuple(f"class {i}" for i in range(count))
    scale = (
        interactive.view([("run", finished(0, classes=names))])
        .children[1]
        .children[0]
        .renderers[0]
        .glyph.fill_color.transform
    )
    # As Bokeh finds the place of a value in a palette, in double precision.
    bins = (np.arange(count) * (1 / (scale.high - scale.low)) - scale.low * (1 / (scale.high - scale.low))) / (
        1 / count
    )
    assert np.floor(bins).astype(int).tolist() == list(range(count))


def test_page_is_reproducible_except_for_element_ids():
    def numbered(page: str) -> str:
        names: dict[str, str] = {}
        return re.sub(r'"p\d+"', lambda name: names.setdefault(name[0], str(len(names))), page)

    assert numbered(embedded(finished(0), finished(1))) == numbered(embedded(finished(0), finished(1)))


class Page:
    """A page in a headless Chromium or Chrome that keeps its console."""

    def __init__(self, browser):
        self.browser = browser

    def open(self, file: Path, ready: str):
        self.browser.get(file.as_uri())
        self.until(lambda: self.tell(ready))

    def tell(self, code: str, *arguments):
        return self.browser.execute_script(SCRIPT + code, *arguments)

    def until(self, true):
        ui = pytest.importorskip("selenium.webdriver.support.ui")
        return ui.WebDriverWait(self.browser, 10, 0.05).until(lambda _: true())

    def pointer(self, plot: int, row: int):
        chains = pytest.importorskip("selenium.webdriver.common.action_chains")
        actions = chains.ActionChains(self.browser, duration=0)
        actions.w3c_actions.pointer_action.move_to_location(*self.tell(SCREEN, plot, row))
        return actions

    def shown_at(self, plot: int, row: int, image: str) -> dict:
        """Point at a row of a plot, and wait until the tooltip shows the image."""
        self.pointer(plot, row).perform()
        return self.until(lambda: (found := self.tell(TOOLTIP)) and found["sources"][0] == image and found)

    def errors(self) -> list:
        return [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(browser):
    return Page(browser)


SCRIPT = (
    INSIDE
    + """
// While the page is being built, there are places for views that are null.
const below = (view) => view?.model.type == "Figure" ? [view] : [...view?.children_views() ?? []].flatMap(below)
const plots = Bokeh.index.roots.filter((view) => view?.model.type == "Column").flatMap(below)
const {data, selected} = plots[0]?.model.renderers[0].data_source ?? {}
const place = (plot, row) => {
  const {x_scale, y_scale} = plots[plot].frame
  return [x_scale.compute(data[`x${plot}`][row]), y_scale.compute(data[`y${plot}`][row])].map(Math.round)
}
"""
)
READY = "return plots.length >= 2 && Bokeh.documents.every((document) => document.is_idle)"
BUTTONS = "return elements.filter((element) => element.matches('button'))"
OUTSIDE = """
const addresses = elements.flatMap((element) => [element.src, element.href])
return [...addresses, ...performance.getEntriesByType("resource").map((resource) => resource.name)]
  .filter((address) => address && !address.startsWith("data:") && !address.startsWith(document.URL + "#"))
"""
SCREEN = """
const [plot, row] = arguments, {left, top} = plots[plot].canvas.el.getBoundingClientRect()
const [x, y] = place(plot, row)
return [Math.round(left + x), Math.round(top + y)]
"""
IMAGES = """
const [row] = arguments, near = [0, 1, 2, 3, 4].map((i) => data[`near0_${i}`][row])
return [data.image[row], near.map((other) => data.image[other])]
"""
# The page's own images are no part of Bokeh's, which is in shadow roots.
TOOLTIP = """
const images = elements.filter((element) => element.matches("img") && element.getRootNode() != document)
return images.length > 0 && images.every((image) => image.complete) && {
  text: images[0].parentElement.innerText,
  sources: images.map((image) => image.src),
  sizes: images.map((image) => [image.naturalWidth, image.naturalHeight]),
  framed: images.slice(1).map((image) => image.style.borderColor != "transparent"),
}
"""
# Whether each image's point is painted: its pixel is not that of a corner.
PAINTED = """
const {ctx, pixel_ratio} = plots[arguments[0]].canvas.primary, {left, bottom} = plots[arguments[0]].frame.bbox
const pixel = (x, y) => ctx.getImageData(x * pixel_ratio, y * pixel_ratio, 1, 1).data.join()
return Array.from(data.label, (_, row) => pixel(...place(arguments[0], row)) != pixel(left + 3, bottom - 3))
"""


def test_the_page_in_a_browser(page, tmp_path):
    runs = finished(0), finished(1)
    labels = runs[0].sample.labels
    file = tmp_path / "page.html"
    head = f"<!doctype html><meta charset='utf-8'><title>t</title>{interactive.resources()}"
    file.write_text(head + embedded(*runs), encoding="utf-8")
    page.open(file, READY)
    assert page.tell(OUTSIDE) == []

    right, wrong = (int(np.argmax(runs[1].sample.predicted == labels + change)) for change in (0, 1))
    for row, verdict in ((right, ""), (wrong, " ✗ wrong")):
        shown = page.shown_at(1, row, uri(runs[1], row))
        nearest = runs[1].sample.nearest[row]
        assert shown["sources"] == [uri(runs[1], row), *(uri(runs[1], other) for other in nearest)]
        assert shown["sizes"] == [[7, 9]] * (1 + NEAR)
        assert shown["framed"] == (labels[nearest] != labels[row]).tolist()
        name, said = (CLASSES[classes[row]] for classes in (labels, runs[1].sample.predicted))
        assert shown["text"] == f"● {name}\nkNN: {said}{verdict}"

    buttons = page.tell(BUTTONS)
    assert [button.text for button in buttons] == list(CLASSES)
    assert [all(page.tell(PAINTED, plot)) for plot in (0, 1)] == [True, True]
    buttons[0].click()
    for plot in (0, 1):
        page.until(lambda plot=plot: page.tell(PAINTED, plot) == (labels != 0).tolist())

    # What is selected in one plot is in the other, which has the same source.
    page.pointer(0, 5).click().perform()
    page.until(lambda: page.tell("return selected.indices") == [5])
    assert page.tell("return plots.every((plot) => plot.model.renderers[0].data_source.selected == selected)")
    assert page.errors() == []


def test_a_point_of_the_report_in_the_repository_shows_its_image(page):
    page.open(REPORT, READY)
    assert page.tell(OUTSIDE) == []
    page.tell("plots[0].el.scrollIntoView({block: 'center'})")
    top = interactive.LIMIT - 1  # drawn last, so it is covered by no other
    image, near = page.tell(IMAGES, top)
    assert page.shown_at(0, top, image)["sources"] == [image, *near]
    assert page.errors() == []


def test_thousands_of_classes_have_no_button_each_and_the_notes_say_so():
    names = tuple(f"class {i}" for i in range(interactive.BUTTONS + 1))
    row, notes = interactive.view([("run", finished(0, classes=names))]).children
    assert "The 101 classes are too many for a button each." in notes.text
    assert len(row.children) == 1
    legend, _, notes = interactive.view([("run", finished(0, classes=names[1:]))]).children
    assert len(legend.labels) == interactive.BUTTONS
    assert "<b>Click</b> a class above" in notes.text


def test_long_names_are_shortened_in_buttons_and_titles_and_lines_are_one():
    legend, row, _ = interactive.view([("t" * 900, finished(0, classes=("n" * 300, "a\nb", "\u202ec")))]).children
    assert legend.labels == ["n" * 21 + "…" + "n" * 10, r"a\nb", r"\u202ec"]
    assert len(row.children[0].title.text.text) < 170
