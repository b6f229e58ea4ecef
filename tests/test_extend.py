"""docs/extend.md: each example is one file that works as it is, and the contract tests pick it up."""

import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxembed import datasets, encoders, metrics, objectives
from jaxembed.artifacts.finished import Finished
from jaxembed.core import errors, options
from jaxembed.evaluate import evaluation, forward
from jaxembed.report import tables
from jaxembed.report.experiments import Experiment
from jaxembed.run import build
from jaxembed.train import loop, start
from jaxembed.types import Batch

TEXT = (Path(__file__).parents[1] / "docs" / "extend.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Puts the one example that contains some text into a registry, as a file of a folder of its own."""

    def add(package, name: str, opening: str):
        (found,) = (text for text in EXAMPLES if opening in text)
        (folder := tmp_path / package.__name__).mkdir()
        (folder / f"{name}.py").write_text(found)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        return options.find(package, name, what="a name")

    return add


def test_encoder_is_one_file_with_any_class_name(add, config, dataset, tmp_path):
    module = add(encoders, "pooled", "class Pooled")
    assert encoders.with_decoder() == ("conv", "fc")
    config.encoder = {"name": "pooled"} | module.SMALLEST
    run = build.run(config, dataset)
    state = loop.fit(run, dataset, tmp_path / "run", seed=0)
    assert forward.embed(run, state, dataset.test.images).shape == (21, 6)
    config.objective = {"name": "reconstruct", "augmentation": {}, "corruption": {}}
    with pytest.raises(errors.InputError, match="needs an encoder with a decoder, one of conv, fc; got 'pooled'"):
        build.run(config, dataset)


def test_an_objective_is_one_file(add, config, dataset, tmp_path):
    module = add(objectives, "rotation", "rot90")
    config.objective = {"name": "rotation"} | module.SMALLEST
    # Rotated images have their sides swapped, so these are square.
    square = [split._replace(images=split.images[:, :7]) for split in dataset[2:5]]
    dataset = dataset._replace(train=square[0], validation=square[1], test=square[2])
    run = build.run(config, dataset)
    numbers = evaluation.evaluate(run, loop.fit(run, dataset, tmp_path / "run", seed=0), dataset).metrics
    assert np.isfinite(numbers["validation/loss"])
    batch = Batch(jnp.arange(8.0).reshape(2, 2, 2, 1) / 8, jnp.array([0, 1]))
    images, target = run.objective.views(jax.random.key(0), batch)
    np.testing.assert_array_equal(images[2:4], np.rot90(batch.images, axes=(1, 2)))
    assert target.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_objective_may_have_a_teacher_that_is_evaluated(add, config, dataset, tmp_path):
    module = add(objectives, "mean_teacher", "Tarvainen")
    config.objective = {"name": "mean_teacher"} | module.SMALLEST
    run = build.run(config, dataset)
    state = loop.fit(run, dataset, tmp_path / "run", seed=0)
    taught = state._replace(params=state.teacher.params, stats=state.teacher.stats)
    plain = run._replace(objective=run.objective._replace(evaluates_teacher=False))
    embedded, its = (
        forward.embed(run, state, dataset.test.images),
        forward.embed(plain, taught, dataset.test.images),
    )
    np.testing.assert_array_equal(embedded, its)
    assert np.abs(embedded - forward.embed(plain, state, dataset.test.images)).max() > 1e-3


def test_a_config_is_another_with_another_objective():
    (found,) = (text for text in EXAMPLES if "Which way up" in text)
    exec(compile(found, "extend.md", "exec"), made := {})
    assert made["get_config"]().objective.to_dict() == {"name": "rotation", "hidden": (64,)}


def test_a_measure_is_one_file_with_its_column_in_the_report(add, run, dataset):
    add(metrics, "norms", "length_variation")
    state = start.initial(run, dataset, seed=0)
    numbers = evaluation.evaluate(run, state, dataset).metrics
    lengths = np.linalg.norm(forward.embed(run, state, dataset.test.images), axis=1)
    assert numbers["test/length_variation"] == pytest.approx(lengths.std() / lengths.mean(), rel=1e-4)
    record = {"metrics": {"test/length_variation": 0.25}}
    shown = tables.make([Experiment("one", (Finished(Path(), {}, record, [], None),))])
    assert [[tables.head(column) for column in table.columns] for table in shown] == [["lengths"]]


def test_dataset_is_one_file_with_its_own_options(add):
    add(datasets, "shades", "Dark and light squares")
    section = {"name": "shades", "side": 8, "validation": 40}
    loaded = datasets.load(section, data_dir=None, seed=0)
    assert loaded.classes == ("dark", "light")
    assert loaded.train.images.shape == (160, 8, 8, 1)
    with pytest.raises(errors.InputError, match=r"config\.data\.side must be > 0, got 0"):
        datasets.load(section | {"side": 0}, data_dir=None, seed=0)
    with pytest.raises(
        errors.InputError, match=r"has no option 'sides' .did you mean 'side'..; it takes: side, val"
    ):
        datasets.load(section | {"sides": 0}, data_dir=None, seed=0)


def test_own_images_are_a_tfds_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (found,) = (text for text in EXAMPLES if "GeneratorBasedBuilder" in text)
    exec(compile(found, "extend.md", "exec"), {"__name__": "extend"})
    assert "--config.data.name=tones --config.data.validation=40 \\\n  --data_dir=data " in TEXT
    loaded = datasets.load({"name": "tones", "validation": 40}, data_dir="data", seed=0)
    assert loaded.classes == ("dark", "light")
    assert loaded.train.images.shape == (160, 8, 8, 1)
    bright = loaded.test.images.mean(axis=(1, 2, 3)) > 128
    assert (bright == (loaded.test.labels == 1)).all()
    assert json.loads((tmp_path / "data" / "tones" / "1.0.0" / "dataset_info.json").read_text())["name"] == "tones"
