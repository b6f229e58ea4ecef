"""The functions of the package do what the commands do."""

import functools
import http.server
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxembed
from jaxembed import api
from jaxembed.core.errors import InputError
from jaxembed.doctor import __main__ as doctor_command

SHORT = {"train.epochs": 2, "evaluate.linear.epochs": 1, "evaluate.mlp.epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return jaxembed.train("quickstart", workdir=tmp_path_factory.mktemp("run") / "short", seed=2, **SHORT)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def test_a_run_says_what_it_is_and_has_its_results(run):
    assert repr(run).startswith("Run(quickstart, seed 2: digits × fc × reconstruct, kNN ")
    assert run.metrics["test/knn_accuracy"] == run.record["metrics"]["test/knn_accuracy"]
    assert "loss" in run.figures
    assert run.figures["loss"].size[0] > 100
    assert repr(run.figures).startswith("Figures(confusion, distances, ")
    assert repr(run.encoder) == "FrozenEncoder(quickstart: 8×8×1 to 16 dimensions, by cosine)"
    command = "jaxembed train quickstart --config.evaluate.linear.epochs=1 --config.evaluate.mlp.epochs=1"
    assert run.record["command"] == f"{command} --config.train.epochs=2 --seed=2"
    assert jaxembed.Run(run).record == run.record


def test_tables_of_runs_are_data_frames_and_need_pandas(run, monkeypatch):
    frames = pytest.importorskip("pandas")
    history = run.history
    assert isinstance(history, frames.DataFrame)
    assert history["step"].iloc[-1] == 38
    [row] = jaxembed.runs(run.folder.parent).to_dict("records")
    assert (row["experiment"], row["seed"]) == ("quickstart", 2)
    assert row["test/l1"] == run.metrics["test/l1"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"need pandas: pip install 'jaxembed\[notebook\]'"):
        len(run.history)


def test_vectors_are_found_examined_and_served_as_by_the_commands(run, photos, tmp_path, capsys):
    file = tmp_path / "vectors.npz"
    embedded = jaxembed.embed(run, photos, output=file)
    assert embedded.embeddings.shape == (12, 16)
    np.testing.assert_allclose(jaxembed.embed(run, photos).embeddings, embedded.embeddings)
    with pytest.raises(InputError, match="exists; use --overwrite to replace it"):
        jaxembed.embed(run, photos, output=file)
    [found] = jaxembed.search(run, file, photos / "03.png", count=2)
    assert (found["images"][0]["name"], len(found["images"])) == ("03.png", 2)
    examined = jaxembed.doctor(run, file, output=tmp_path / "doctor")
    assert examined.examined == (12, 12)
    assert (tmp_path / "doctor" / "outliers.csv").exists()
    page = jaxembed.explore(run, file)
    with urllib.request.urlopen(page.address) as answer:
        assert b"12 images" in answer.read() or answer.status == 200
    page.stop()
    capsys.readouterr()


def test_a_notebook_on_this_machine_shows_the_map(run, photos, browser, tmp_path, capsys):
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait
    page = jaxembed.explore(run, photos)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    (tmp_path / "notebook.html").write_text(page._repr_html_())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as notebook:
        threading.Thread(target=notebook.serve_forever, daemon=True).start()
        browser.get(f"http://localhost:{notebook.server_port}/notebook.html")
        browser.switch_to.frame(0)
        names = "return globalThis.Bokeh?.documents[0]?.get_model_by_name('map').renderers[0].data_source.data.name"
        shown = wait(browser, 20, 0.1).until(lambda _: browser.execute_script(names))
        assert shown[3] == "03.png"
        notebook.shutdown()
    page.stop()
    capsys.readouterr()


def test_reports_compare_runs(run, tmp_path):
    assert jaxembed.report(run, output=tmp_path / "report") == tmp_path / "report" / "report.html"
    assert (tmp_path / "report" / "report.html").exists()


def test_a_config_has_a_name_or_a_file_and_is_overridden_by_sections_or_dotted_names():
    config = jaxembed.config("quickstart", train={"epochs": 7}, **{"encoder.latent": 5})
    assert (config.train.epochs, config.train.batch_size, config.encoder.latent) == (7, 64, 5)
    assert jaxembed.config(Path("configs/quickstart.py").absolute()).seed == 0
    with pytest.raises(InputError, match="no such file"):
        jaxembed.config("nothing_like_it")
    with pytest.raises(
        InputError, match=r"override 'trian.epochs' must be one of .*got 'trian' .did you mean 'train'"
    ):
        jaxembed.config("quickstart", **{"trian.epochs": 3})


def test_what_a_command_refuses_is_an_exception_with_its_line(tmp_path, photos):
    with pytest.raises(jaxembed.InputError, match=r"config.encoder has no option 'latnet'"):
        jaxembed.train("quickstart", workdir=tmp_path / "x", **{"encoder.latnet": 3})
    with pytest.raises(InputError, match="no run folder, encoder file or pretrained encoder nothing"):
        jaxembed.embed("nothing", photos)
    with pytest.raises(InputError, match="unrecognized arguments: --colour=red"):
        jaxembed.embed("quickstart", photos, colour="red")


def test_a_room_that_is_imported_can_be_called_and_is_still_a_room():
    assert jaxembed.doctor.__main__ is doctor_command
    assert callable(jaxembed.doctor)
    assert set(jaxembed.__all__) <= {*dir(jaxembed)}
    assert all(getattr(api, name, None) or hasattr(jaxembed, name) for name in jaxembed.__all__)


def test_the_package_is_imported_without_jax_and_numpy():
    code = "import jaxembed, sys; jaxembed.__version__; print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
