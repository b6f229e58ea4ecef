"""Measuring any embedding: known answers, a run's own numbers, other datasets, and input that cannot be used."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxembed import datasets
from jaxembed.artifacts import finished
from jaxembed.cli import command
from jaxembed.devices import mesh
from jaxembed.embed import __main__ as embed
from jaxembed.evaluate import sampling
from jaxembed.measure import __main__ as measure
from jaxembed.measure import splits
from jaxembed.report import __main__ as reporting

pytestmark = pytest.mark.usefixtures("blank_figures")
RANDOM = np.random.default_rng(0)
N, M, CLASSES = 400, 200, 4


@pytest.fixture(autouse=True)
def few_images_are_sampled(monkeypatch):
    monkeypatch.setattr(sampling, "SIZE", 40)


def arrays(**changes) -> dict:
    labels = {"train_labels": np.arange(N) % CLASSES, "test_labels": np.arange(M) % CLASSES}
    made = {"train": RANDOM.normal(size=(N, 8)), "test": RANDOM.normal(size=(M, 8))} | labels | changes
    return {name: array for name, array in made.items() if array is not None}


def write(folder, **changes):
    np.savez(folder / "vectors.npz", **arrays(**changes))
    return folder / "vectors.npz"


def run(*arguments) -> int:
    return command.run("measure", measure.main, [str(each) for each in arguments])


def metrics(folder):
    return json.loads((folder / "result.json").read_text())["metrics"]


def test_random_vectors_score_at_chance_with_every_classifier(tmp_path):
    labels = {"train_labels": np.arange(2000) % CLASSES, "test_labels": np.arange(1000) % CLASSES}
    file = write(tmp_path, train=RANDOM.normal(size=(2000, 8)), test=RANDOM.normal(size=(1000, 8)), **labels)
    assert run(file, "--workdir", tmp_path / "out") == 0
    accuracies = {name: value for name, value in metrics(tmp_path / "out").items() if "_accuracy" in name}
    accuracies = {name: value for name, value in accuracies.items() if not name.endswith("_sd")}
    accuracies.pop("test/worst_class_accuracy")
    assert len(accuracies) == 11
    error = np.sqrt(0.25 * 0.75 / 1000)
    # Eleven accuracies: two standard errors each, and three for all at once.
    assert all(abs(value - 1 / CLASSES) < 3 * error for value in accuracies.values()), accuracies
    assert np.mean([abs(value - 1 / CLASSES) < 2 * error for value in accuracies.values()]) > 0.8


def test_one_hot_labels_score_100_per_cent_and_are_reported(tmp_path):
    one_hot = {split: np.eye(CLASSES)[np.arange(n) % CLASSES] for split, n in (("train", N), ("test", M))}
    images = {
        f"{split}_images": RANDOM.integers(0, 256, (n, 6, 5, 3), np.uint8)
        for split, n in (("train", N), ("test", M))
    }
    for number, more in enumerate(({}, images)):
        file = write(tmp_path, **one_hot, **more)
        given_names = () if number else ("--name", "plain $x$", "--dataset", "letters")
        assert run(file, "--workdir", tmp_path / "runs" / str(number), *given_names) == 0
        measured = metrics(tmp_path / "runs" / str(number))
        values = {value for name, value in measured.items() if "accuracy" in name and not name.endswith("_sd")}
        assert values == {1.0}
        assert measured["test/nmi"] == pytest.approx(1)
    read = finished.read(tmp_path / "runs" / "0")
    assert (read.record["experiment"], read.record["dataset"], read.is_trained) == ("plain $x$", "letters", False)
    assert read.trained_on is None
    assert read.sample.images is None
    drawn = {file.stem for file in (tmp_path / "runs" / "0" / "figures").iterdir()}
    assert drawn == {"embeddings", "distances", "confusion", "few_labels"}
    assert "doctor" in {file.stem for file in (tmp_path / "runs" / "1" / "figures").iterdir()}
    assert reporting.main([str(tmp_path / "runs"), f"--output={tmp_path / 'report'}"]) == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| **100.00** |" in text or "100.00" in text
    assert "jaxembed.measure" in text


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The digits, embedded by the quick start's encoder, and measured as it is."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SIZE", 40)
        embed.main(["quickstart", "digits", "--output", str(folder / "digits.npz")])
        assert run(folder / "digits.npz", "--like=quickstart", "--workdir", folder / "out", "--name=exported") == 0
    return folder


def test_a_runs_own_vectors_reproduce_its_metrics_exactly(exported, tmp_path):
    assert run("quickstart", "--on=digits", "--workdir", tmp_path / "out") == 0
    own, again = metrics(tmp_path / "out"), metrics(exported / "out")
    assert own == again
    published = json.loads((Path(__file__).parents[2] / "docs/results/quickstart/seed0.json").read_text())
    # The encoder in the package is that run's.
    for name in ("knn_accuracy", "map_at_r", "rankme"):
        assert own[f"test/{name}"] == pytest.approx(published["metrics"][f"test/{name}"], abs=5e-3)
    assert finished.read(exported / "out").sample.images.shape[1:] == (8, 8, 1)


def test_a_run_measures_the_same_as_its_exported_vectors(tmp_path, monkeypatch):
    from ml_collections import ConfigDict

    from configs import quickstart
    from jaxembed.jobs import commands
    from jaxembed.jobs.job import Job
    from jaxembed.train import session

    monkeypatch.setattr(session, "_speed", lambda *_: None)
    config: ConfigDict = quickstart.get_config()
    config.seed, config.train.epochs = 3, 2
    commands.train(Job("quickstart", config, tmp_path / "run", "python launch.py", None))
    embed.main([str(tmp_path / "run"), "digits", "--output", str(tmp_path / "digits.npz")])
    assert run(tmp_path / "digits.npz", f"--like={tmp_path / 'run'}", "--workdir", tmp_path / "out") == 0
    own, again = metrics(tmp_path / "run"), metrics(tmp_path / "out")
    objective = {"validation/loss", "validation/spread", "validation/l1", "test/l1"}
    assert own.keys() - again.keys() == objective
    assert {name: own[name] for name in again} == again


def test_an_encoder_is_measured_on_images_of_another_size_and_in_colour(tmp_path):
    photos = tmp_path / "photos"
    for number in range(60):
        file = photos / ("train", "test")[number % 3 == 0] / ("dark", "light")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        shade = RANDOM.integers(0, 90, (20, 30, 3)) + 160 * (number % 2)
        picture(shade.astype(np.uint8)).save(file)
    arguments = ("quickstart", f"--on={photos}", "--validation=0", "--distance=euclidean")
    assert run(*arguments, "--workdir", tmp_path / "out") == 0
    read = finished.read(tmp_path / "out")
    assert read.sample.images.shape[1:] == (8, 8, 1)
    assert (read.record["dataset"], read.trained_on, read.record["distance"]) == ("photos", "digits", "euclidean")
    assert read.evaluated("knn_accuracy") > 0.9
    assert read.diagnosis.tables["outliers"].names[0, 0].endswith(".png")


def picture(pixels):
    from PIL import Image

    return Image.fromarray(pixels)


def test_texts_names_and_a_given_validation_split_are_kept(tmp_path):
    words = np.array(["b", "c", "a", "d"])
    changes = {f"{split}_labels": words[np.arange(n) % CLASSES] for split, n in (("train", N), ("test", M))}
    changes |= {"validation": RANDOM.normal(size=(30, 8)), "validation_labels": words[np.arange(30) % CLASSES]}
    changes |= {"test_names": np.array([f"{row}.jpg" for row in range(M)]), "classes": words}
    read = splits.read(write(tmp_path, **changes), title="x", seed=0, validation=50.0)
    assert read.dataset.classes == ("b", "c", "a", "d")
    np.testing.assert_array_equal(read.dataset.test.labels, np.arange(M) % CLASSES)
    assert (len(read.embeddings["train"]), len(read.embeddings["validation"])) == (N, 30)
    assert read.dataset.names_of("test")[7] == "7.jpg"
    folder = tmp_path / "arrays"
    folder.mkdir()
    for name, array in arrays(**changes).items():
        np.save(folder / f"{name}.npy", array)
    assert splits.read(folder, title="x", seed=0, validation=0.0).dataset.classes == ("b", "c", "a", "d")


def test_validation_images_equal_those_of_a_run(tmp_path):
    whole = datasets.load({"name": "digits", "validation": 0}, data_dir=None, seed=5)
    points = {"train": np.arange(1437.0)[:, None] + np.zeros(3), "test": np.ones((360, 3))}
    labels = {"train_labels": whole.train.labels, "test_labels": whole.test.labels}
    read = splits.read(write(tmp_path, **points, **labels), title="digits", seed=5, validation=200.0)
    run_split = datasets.load({"name": "digits", "validation": 200}, data_dir=None, seed=5)
    np.testing.assert_array_equal(read.dataset.validation.labels, run_split.validation.labels)
    rows = [int(name.split("/")[1]) for name in run_split.names["validation"]]
    np.testing.assert_array_equal(read.embeddings["validation"][:, 0], rows)


BAD = {
    "lengths": (dict(test_labels=np.arange(7)), "test_labels must have a row for each of test's 200, got 7"),
    "nan": (
        dict(test=np.where(np.arange(1600).reshape(200, 8) % 500 == 3, np.nan, 1.0)),
        "test must be finite and within 1e+15; 4 numbers in 4 of 200 rows are not, the first one in row 0",
    ),
    "infinity": (dict(train=np.full((N, 8), 1e300)), "train must be finite and within 1e+15; 3200 numbers in 400"),
    "one class": (
        dict(train_labels=np.zeros(N, int), test_labels=np.zeros(M, int)),
        "labels must have at least 2 classes, got 1",
    ),
    "halves": (
        dict(train_labels=np.arange(N) / 2),
        "train_labels must be whole numbers from 0, or texts, [n]; got float64",
    ),
    "negative": (dict(train_labels=np.arange(N) % 4 - 1), "got int64 of shape [400], -1 among them"),
    "mixed": (
        dict(train_labels=np.array(["a", "b"] * 200)),
        "the labels of all splits must be texts, or all numbers",
    ),
    "dimensions": (
        dict(test=np.zeros((M, 5))),
        "all splits must have the same number of dimensions, got train 8, test 5",
    ),
    "objects": (dict(train=np.array([{}] * N)), "train cannot be read: an array of objects is not unpickled"),
    "texts": (
        dict(train=np.full((N, 8), "a")),
        "train must be numbers [n, d] in at least 2 rows, got <U1 of shape",
    ),
    "flat": (
        dict(train=np.zeros(N)),
        "train must be numbers [n, d] in at least 2 rows, got float64 of shape [400]",
    ),
    "one row": (
        dict(test=np.zeros((1, 8)), test_labels=np.zeros(1, int)),
        "test must be numbers [n, d] in at least 2",
    ),
    "a single label": (
        dict(train_labels=np.array(3)),
        "train_labels must have a row for each of train's 400, got a",
    ),
    "huge labels": (dict(train_labels=np.full(N, 2**63, np.uint64)), "labels that are numbers must be at most"),
    "missing": (
        dict(test_labels=None),
        "must have the arrays train, train_labels, test, test_labels; it lacks test_labels",
    ),
    "missing validation labels": (dict(validation=np.zeros((9, 8))), "it lacks validation_labels"),
    "unknown class": (
        dict(classes=np.array(["a", "b"])),
        "each label must be one of the 2 classes, got 2",
    ),
    "one split's images": (
        dict(test_images=np.zeros((M, 4, 4, 1), np.uint8)),
        "must have images of one shape for all of train, test, or none",
    ),
    "images of another type": (
        dict(test_images=np.zeros((M, 4, 4, 1))),
        "test_images must be uint8 [n, h, w, c] with 1 or 3 channels, got float64 of shape [200, 4, 4, 1]",
    ),
    "few rows": (
        dict(train=np.zeros((6, 8)), train_labels=np.arange(6) % 2),
        "there must be at least 10 train rows, for as many nearest neighbours, got 6",
    ),
}


@pytest.mark.parametrize(("changes", "error"), BAD.values(), ids=BAD)
def test_unmeasurable_input_is_reported_in_one_line_and_nothing_is_written(changes, error, tmp_path, capsys):
    assert run(write(tmp_path, **changes), "--workdir", tmp_path / "out") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("measure: ")
    assert error in line
    assert not (tmp_path / "out" / "result.json").exists()


def test_arrays_larger_than_memory_are_refused_before_reading(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mesh, "memory", lambda: 20_000.0)
    monkeypatch.setattr(np.lib.format, "read_array", None)
    assert run(write(tmp_path), "--workdir", tmp_path / "out") == 2
    assert "train, of shape [400, 8], needs 0.0 GB of memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nothing.npz",), "nothing.npz does not exist"),
        (("vectors.npy",), "must be a folder of .npy files, or end in .npz or .parquet"),
        (("empty",), "must have a file for each array, train.npy"),
        (("bad.npz",), "bad.npz cannot be read"),
        (("cut.npz",), "train"),
        (("good.npz", "--on=digits"), "is not an encoder file"),
        (("quickstart", "--on=digits", "--like=quickstart"), "--on takes the protocol and the name"),
        (("quickstart", "--on=digitz"), "did you mean 'digits'"),
        (("good.npz", "--validation=1.5"), "--validation must be a share below 1 or a whole number, got 1.5"),
        (("good.npz", "--validation=nan"), "--validation must be a share below 1 or a whole number, got nan"),
        (("good.npz", "--seed=-1"), "--seed must be at least 0, got -1"),
        (("good.npz", "--validation=500"), "config.data.validation must be less than the 400 images"),
        (("good.npz", "--like=quickstar"), "did you mean 'quickstart'"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(arguments, error, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path).rename("good.npz")
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:200] + bytes(100) + whole[300:])
    (tmp_path / "bad.npz").write_bytes(b"PK" + bytes(90))
    (tmp_path / "empty").mkdir()
    assert run(*arguments, "--workdir", tmp_path / "out", "--data_dir", tmp_path) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert error in line
    assert not (tmp_path / "out").exists() or not (tmp_path / "out" / "result.json").exists()


def test_existing_folder_is_not_overwritten(exported, tmp_path, capsys):
    folder = shutil.copytree(exported / "out", tmp_path / "out")
    arguments = (exported / "digits.npz", "--like=quickstart", "--workdir", folder)
    assert run(*arguments) == 2
    assert "holds a measurement; use --overwrite to replace it" in capsys.readouterr().err
    assert run(*arguments, "--overwrite") == 0
    (folder / "metrics.jsonl").touch()
    assert run(*arguments, "--overwrite") == 2
    assert "holds a run; use a different --workdir" in capsys.readouterr().err


def test_val_folder_is_measured_as_validation(tmp_path):
    photos = tmp_path / "photos"
    for number in range(72):
        file = photos / ("train", "test", "val")[number % 3] / ("dark", "light")[number // 3 % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(RANDOM.integers(0, 99, (9, 9)).astype(np.uint8) + 150 * (number // 3 % 2)).save(file)
    embed.main(["quickstart", str(photos), "--output", str(tmp_path / "x.npz")])
    assert run(tmp_path / "x.npz", "--dataset=photos", "--workdir", tmp_path / "out") == 0
    assert len(finished.read(tmp_path / "out").sample.rows) == 24
    assert "validation/knn_accuracy" in metrics(tmp_path / "out")


def test_invented_names_cost_only_the_images(exported, tmp_path, capsys):
    with np.load(exported / "digits.npz") as opened:
        arrays = dict(opened)
    names = arrays["names"].astype("U20")
    names[3] = "train/99999"
    np.savez(tmp_path / "made_up.npz", **arrays | {"names": names})
    assert run(tmp_path / "made_up.npz", "--workdir", tmp_path / "out") == 0
    assert (
        "no images of digits: names must be <split>/<row> of one split of it, got train/99999"
        in capsys.readouterr().err
    )
    assert finished.read(tmp_path / "out").sample.images is None


def test_vectors_of_a_folder_without_splits_are_refused(tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(5):
        picture(RANDOM.integers(0, 256, (9, 9), np.uint8)).save(photos / f"{number}.png")
    embed.main(["quickstart", str(photos), "--output", str(tmp_path / "x.npz")])
    assert run(tmp_path / "x.npz", "--workdir", tmp_path / "out") == 2
    assert (
        "must have embeddings of a dataset with train and test splits, in names such as test/0; got 0.png"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("label", ["label", "kind"])
def test_table_from_elsewhere_is_measured_by_the_splits_in_its_paths(label, tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    rows = {split: np.arange(n) % CLASSES for split, n in (("train", N), ("test", M))}
    paths = [f"/data/{split}/{number}.jpg" for split, labels in rows.items() for number in range(len(labels))]
    labels = np.concatenate([*rows.values()])
    table = {"path": paths, "embedding": np.eye(CLASSES)[labels].tolist(), label: [f"c{each}" for each in labels]}
    pandas.DataFrame(table).to_parquet(tmp_path / "v.parquet")
    options = () if label == "label" else (f"--labels={label}", "--names=path")
    assert run(tmp_path / "v.parquet", *options, "--workdir", tmp_path / "out") == 0
    assert f"names: path, labels: {label}" in capsys.readouterr().out
    assert metrics(tmp_path / "out")["test/knn_accuracy"] == 1


def test_a_report_of_a_measurement_imports_no_jax(exported):
    code = (
        "import sys; from jaxembed.report.__main__ import main; main(sys.argv[1:]); assert 'jax' not in sys.modules"
    )
    arguments = [str(exported / "out"), f"--output={exported / 'report'}"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    assert (exported / "report" / "report.html").exists()
