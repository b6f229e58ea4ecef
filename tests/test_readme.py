"""The README tells the truth: its commands are about files and keys that exist, its examples run as they stand."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxembed import data, encoders, evaluate, experiment, objectives, train

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def load(name: str) -> ConfigDict:
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def example(start: str) -> str:
    """The one example that contains a line."""
    (found,) = (text for text in EXAMPLES if start in text)
    return found


def test_every_config_and_every_key_that_is_named_exists():
    names = set(re.findall(r"configs/(\w+)\.py", TEXT)) | set(re.findall(r"`((?:\w+_)(?:mnist|cifar))`", TEXT))
    assert len(names) >= 12
    for name in names:
        load(name)
    for key, value in re.findall(r"--config\.([\w.]+)=([^\s`]+)", TEXT):
        here = load("autoencoder_mnist")
        for part in key.split("."):
            here = here[part]
        type(here)(value)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(link):
    assert link.startswith("http") or (ROOT / link).exists()


RESULT = re.compile(
    r"\| \[(\w+)\]\((docs/results/\1/seed(\d+)\.json)\) \|.*\| `([\w/]+)` \|.*\| \*\*([\d.]+)\*\* \| ([\d,]+) s \|"
)


def test_every_number_in_the_table_is_that_of_a_result():
    rows = RESULT.findall(TEXT)
    assert len(rows) >= 4
    for name, file, seed, metric, percent, seconds in rows:
        result = json.loads((ROOT / file).read_text())
        assert (result["experiment"], result["seed"]) == (name, int(seed))
        assert percent == f"{100 * result['metrics'][metric]:.2f}"
        assert seconds == f"{result['train_seconds']:,.0f}"
    assert {file for _, file, *_ in rows} == {
        str(file.relative_to(ROOT)) for file in (ROOT / "docs" / "results").rglob("*.json")
    }


def test_an_encoder_is_added_as_the_readme_says(tmp_path, monkeypatch, config, dataset):
    (tmp_path / "pooled.py").write_text(example("class Encoder"))
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    config.encoder = {"name": "pooled", "latent": 6}
    run = experiment.build(config, dataset)
    state = train.fit(run, dataset, tmp_path / "run", seed=0)
    assert evaluate.embed(run, state, dataset.test.images).shape == (21, 6)


def test_an_objective_is_added_as_the_readme_says(tmp_path, monkeypatch, config, dataset):
    (tmp_path / "rotation.py").write_text(example("rot90"))
    monkeypatch.setattr(objectives, "__path__", [*objectives.__path__, str(tmp_path)])
    config.objective = {"name": "rotation", "hidden": (8,)}
    # Turned images lie across: this objective, like the README's reader, has square ones.
    square = [split._replace(images=split.images[:, :7]) for split in dataset[2:]]
    dataset = dataset._replace(train=square[0], validation=square[1], test=square[2])
    run = experiment.build(config, dataset)
    metrics = evaluate.evaluate(run, train.fit(run, dataset, tmp_path / "run", seed=0), dataset)
    assert np.isfinite(metrics["validation/loss"])


def test_a_dataset_is_added_as_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example("GeneratorBasedBuilder"), "README.md", "exec"), {"__name__": "readme"})
    loaded = data.load("shades", data_dir="data", validation=40, seed=0)
    assert loaded.classes == ("dark", "light")
    assert loaded.train.images.shape == (160, 8, 8, 1)
    bright = loaded.test.images.mean(axis=(1, 2, 3)) > 128
    assert (bright == (loaded.test.labels == 1)).all()
