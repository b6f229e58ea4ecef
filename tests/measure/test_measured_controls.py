"""Measuring a control: by a run's protocol, views included, beside a run that then says so; and what is refused."""

import numpy as np
import pytest
from PIL import Image

from jaxembed import augment
from jaxembed.artifacts import finished
from jaxembed.cli import command
from jaxembed.devices import mesh
from jaxembed.evaluate import sampling
from jaxembed.measure import __main__ as measure
from jaxembed.measure import control
from jaxembed.report import __main__ as reporting

pytestmark = pytest.mark.usefixtures("blank_figures")
RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def few_images_are_sampled(monkeypatch):
    monkeypatch.setattr(sampling, "SIZE", 40)


def run(*arguments) -> int:
    return command.run("measure", measure.main, [str(each) for each in arguments])


@pytest.fixture
def photos(tmp_path):
    """Two classes of pictures in colour, in splits; half of them lie on their side."""
    for number in range(72):
        split, shade = ("train", "test")[number % 3 == 0], 150 * (number % 2)
        file = tmp_path / "photos" / split / ("dark", "light")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 99, (20, 30, 3)).astype(np.uint8) + np.uint8(shade)).save(file)
    return tmp_path / "photos"


def test_a_control_is_measured_on_the_images_of_a_run_which_is_compared_with_it(tmp_path, capsys):
    folder = tmp_path / "pixels"
    assert run("pixels", "--dataset=digits", "--like=quickstart", "--workdir", folder) == 0
    read = finished.read(folder)
    assert read.is_control
    assert not read.is_trained
    assert (read.trained_on, read.record["dataset"], read.record["experiment"]) == (None, "digits", "pixels")
    assert read.config["encoder"] == {"name": "pixels"}
    assert (read.config["data"], read.config["seed"]) == ({"name": "digits", "validation": 200}, 0)
    # The nearest images themselves, by scikit-learn.
    from sklearn.neighbors import KNeighborsClassifier

    from jaxembed import datasets

    digits = datasets.load({"name": "digits", "validation": 200}, data_dir=None, seed=0)
    rows = {split: getattr(digits, split).images.reshape(-1, 64) for split in ("train", "test")}
    nearest = KNeighborsClassifier(5, metric="cosine").fit(rows["train"], digits.train.labels)
    expected = nearest.score(rows["test"], digits.test.labels)
    assert read.evaluated("knn_accuracy") == pytest.approx(expected, abs=0.003)
    assert "no better" not in capsys.readouterr().out
    assert run("quickstart", "--on=digits", "--workdir", tmp_path / "quickstart") == 0
    said = capsys.readouterr().out
    assert f"no better than pixels ({100 * read.evaluated('knn_accuracy'):.2f}%)" in said
    assert reporting.main([str(tmp_path), f"--output={tmp_path / 'report'}"]) == 0
    assert "- quickstart: kNN" in (tmp_path / "report" / "report.md").read_text()


def test_options_the_seed_and_a_name_are_recorded(tmp_path):
    """On the dataset of --like, which is a config file here."""
    arguments = (
        "patches",
        "--like=configs/quickstart.py",
        "--seed=4",
        "--centres=20",
        "--side",
        "4",
        "--name=small",
    )
    assert run(*arguments, "--workdir", tmp_path / "out") == 0
    read = finished.read(tmp_path / "out")
    assert read.config["encoder"] == {"name": "patches", "centres": 20, "side": 4}
    assert (read.config["seed"], read.record["seed"], read.record["dataset"]) == (4, 4, "digits")
    assert (read.record["experiment"], read.is_control) == ("small", True)
    assert read.record["command"].endswith("--centres=20 --side 4 --name=small --workdir " + str(tmp_path / "out"))


def test_an_option_is_written_as_any_other():
    assert control.parsed(["--a=1", "--b-c", "2.5", "--d=(1, 2)", "--e=x=y"]) == {
        "a": 1,
        "b_c": 2.5,
        "d": (1, 2),
        "e": "x=y",
    }


def test_untrained_is_measured_on_another_dataset_than_that_of_like(photos, tmp_path, capsys):
    arguments = ("untrained", "--like=quickstart", f"--dataset={photos}", "--workdir", tmp_path / "out")
    assert run(*arguments) == 2  # whose validation images are more than these
    assert "config.data.validation must be less than the 48 images" in capsys.readouterr().err
    assert run(*arguments, "--validation=0") == 0
    read = finished.read(tmp_path / "out")
    assert read.config["encoder"] == {
        "name": "untrained",
        "encoder": {"name": "fc", "widths": (128, 64), "latent": 16, "dropout": 0.0},
        "dtype": "float32",
    }
    assert read.sample.images.shape[1:] == (32, 32, 3)


def test_a_folder_of_pictures_is_measured_with_the_views_of_the_protocol(photos, tmp_path):
    arguments = ("histogram", f"--dataset={photos}", "--like=configs/simclr_folder.py", "--validation=0")
    assert run(*arguments, "--workdir", tmp_path / "out") == 0
    read = finished.read(tmp_path / "out")
    assert (read.record["dataset"], read.sample.images.shape[1:]) == ("photos", (32, 32, 3))
    assert read.evaluated("knn_accuracy") > 0.9
    # A crop has nearly the colours of its picture.
    assert read.evaluated("view_alignment") < 0.5
    assert read.config["evaluate"]["augmentation"].keys() == {"crop", "flip"}


def test_views_of_images_are_images_of_the_same_kind():
    import jax

    images = RANDOM.integers(0, 256, (3, 6, 5, 3), np.uint8)
    flip = augment.compose({"flip": {"p": 1.0}}, what="x")
    seen = control._embed(
        lambda each: each.reshape(len(each), -1).astype(np.float32), flip, images, key=jax.random.key(0)
    )
    np.testing.assert_array_equal(seen.reshape(images.shape), images[:, :, ::-1])


def test_vectors_larger_than_memory_are_refused_before_they_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mesh, "memory", lambda: 100_000.0)
    assert run("pixels", "--dataset=digits", "--workdir", tmp_path / "out") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "pixels makes 1437 embeddings that need 0.0 GB of memory" in line


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("patchez", "--dataset=digits"),
            "no such control (did you mean 'patches'?); controls: histogram, patches, ",
        ),
        (("untrained", "--dataset=digits"), "untrained needs --like=RUN, or a config file: whose encoder it is"),
        (("pca",), "pca is a control: --dataset=DATASET or --like=RUN must say what it is measured on"),
        (
            ("pca", "--dataset=digits", "--components=500"),
            "pca.components must be at most 64, for 1437 train images",
        ),
        (
            ("pca", "--dataset=digits", "--component=5"),
            "pca has no option 'component' (did you mean 'components'?)",
        ),
        (("pca", "--dataset=digits", "--components=(1,"), "pca.components must be a whole number, got '(1,'"),
        (("pca", "--dataset=digits", "--components"), "unrecognized arguments: --components"),
        (("pca", "more", "--dataset=digits"), "unrecognized arguments: more"),
        (("pca", "--dataset=digitz"), "did you mean 'digits'"),
        (
            ("pca", "--dataset=no/such/folder"),
            "no/such/folder does not exist; expected a folder of pictures or a dat",
        ),
        (("pca", "--on=digits"), "pca is a control: it takes --dataset=digits, not --on"),
        (("pca", "--like=nothing.py"), "--like=nothing.py: there is no such file"),
        (("pca", "--like=configs/suite_quickstart.py"), "is a suite; it must be a run, or the config file of one"),
        (("pca", "--dataset=digits", "--seed=4294967296"), "--seed must be below 2**32, got 4294967296"),
        (("given.npz", "--components=5"), "unrecognized arguments: --components=5"),
    ],
)
def test_what_cannot_be_measured_is_reported_in_one_line(arguments, error, tmp_path, capsys):
    assert run(*arguments, "--workdir", tmp_path / "out", "--data_dir", tmp_path) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert error in line
    assert not (tmp_path / "out" / "result.json").exists()
