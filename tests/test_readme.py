"""The README tells the truth: its commands are about files and keys that exist, its examples run as they stand."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

import jaxembed.run
from benchmarks import table
from jaxembed import datasets, encoders, evaluate, objectives, train

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
    suite = load("suite_mnist")
    for key, value in re.findall(r"--config\.([\w.]+)=([^\s`]+)", TEXT):
        if key in suite:
            continue
        here = load("autoencoder_mnist")
        for part in key.split("."):
            here = here[part]
        type(here)(value)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(link):
    assert link.startswith("http") or (ROOT / link).exists()


RESULT = re.compile(
    r"\| \[(\w+)\]\((docs/results/\1)\) \|.*\| `([\w/]+)` \|.*\| \*\*([\d.± ]+)\*\* \| (\d+) \| ([\d,]+) s \|"
)


def test_every_number_in_the_table_is_that_of_results():
    rows = RESULT.findall(TEXT)
    assert len(rows) >= 4
    for name, folder, metric, shown, seeds, seconds in rows:
        results = [json.loads(file.read_text()) for file in sorted((ROOT / folder).glob("seed*.json"))]
        assert len(results) == int(seeds)
        assert {result["experiment"] for result in results} == {name}
        assert len({result["seed"] for result in results}) == len(results)
        percents = [100 * result["metrics"][metric] for result in results]
        deviation = f" ± {np.std(percents, ddof=1):.2f}" if len(percents) > 1 else ""
        assert shown == f"{np.mean(percents):.2f}{deviation}"
        assert seconds == f"{np.median([result['train_seconds'] for result in results]):,.0f}"
    assert {name for name, *_ in rows} == {
        file.parent.name for file in (ROOT / "docs" / "results").rglob("seed*.json")
    }


def test_the_table_of_speeds_is_that_of_the_benchmark():
    record = json.loads((ROOT / "docs" / "benchmark.json").read_text())
    text = (ROOT / "docs" / "performance.md").read_text()
    lines = [line for line in text.splitlines() if re.match(r"\| \w+_(mnist|cifar) ", line)]
    assert lines == [table.line(result) for result in record["experiments"].values()]


def test_an_encoder_is_added_as_the_readme_says(tmp_path, monkeypatch, config, dataset):
    (tmp_path / "pooled.py").write_text(example("class Encoder"))
    monkeypatch.setattr(encoders, "__path__", [*encoders.__path__, str(tmp_path)])
    config.encoder = {"name": "pooled", "latent": 6}
    run = jaxembed.run.build(config, dataset)
    state = train.fit(run, dataset, tmp_path / "run", seed=0)
    assert evaluate.embed(run, state, dataset.test.images).shape == (21, 6)


def test_an_objective_is_added_as_the_readme_says(tmp_path, monkeypatch, config, dataset):
    (tmp_path / "rotation.py").write_text(example("rot90"))
    monkeypatch.setattr(objectives, "__path__", [*objectives.__path__, str(tmp_path)])
    config.objective = {"name": "rotation", "hidden": (8,)}
    # Turned images lie across: this objective, like the README's reader, has square ones.
    square = [split._replace(images=split.images[:, :7]) for split in dataset[2:]]
    dataset = dataset._replace(train=square[0], validation=square[1], test=square[2])
    run = jaxembed.run.build(config, dataset)
    metrics = evaluate.evaluate(run, train.fit(run, dataset, tmp_path / "run", seed=0), dataset).metrics
    assert np.isfinite(metrics["validation/loss"])


def test_a_dataset_is_added_as_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example("GeneratorBasedBuilder"), "README.md", "exec"), {"__name__": "readme"})
    assert "--config.data.name=shades --config.data.validation=40 \\\n  --data_dir=data " in TEXT
    loaded = datasets.load("shades", data_dir="data", validation=40, seed=0)
    assert loaded.classes == ("dark", "light")
    assert loaded.train.images.shape == (160, 8, 8, 1)
    bright = loaded.test.images.mean(axis=(1, 2, 3)) > 128
    assert (bright == (loaded.test.labels == 1)).all()
