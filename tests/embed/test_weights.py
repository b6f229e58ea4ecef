"""The pretrained encoders: loaded by name alone, they reach the accuracy in docs/results."""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxembed
from jaxembed import datasets
from jaxembed.devices import mesh
from jaxembed.embed import frozen
from jaxembed.metrics import knn

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


# Embedding a train split takes 5 to 20 s; that the arrays are what they were, the files' own checksums tell.
QUICK = {"quickstart", "autoencoder_mnist"}


@pytest.fixture
def optimised():
    """Compiled as a user's commands are, not as other tests."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in frozen.packaged()]
)
def test_a_pretrained_encoder_has_its_published_accuracy(name, monkeypatch, optimised):
    # Eight simulated devices on two cores would wait for each other.
    one = mesh.make(jax.devices()[:1])
    monkeypatch.setattr(mesh, "make", lambda: one)
    encoder = jaxembed.load(name)
    config = encoder.saved.config
    if config["data"]["name"] != "digits" and not (REAL / config["data"]["name"]).is_dir():
        pytest.skip(f"{config['data']['name']} is not prepared")
    dataset = datasets.load(config["data"], data_dir=None, seed=config["seed"])
    train, test = (encoder.embed_pixels(split.images) for split in (dataset.train, dataset.test))
    options = dict(neighbours=config["evaluate"]["neighbours"], distance=encoder.distance)
    predicted = knn.classify(train, dataset.train.labels, test, **options)
    result = json.loads((ROOT / f"docs/results/{name}/seed{config['seed']}.json").read_text())
    assert result["encoder_sha256"] == encoder.saved.sha256
    accuracy = np.mean(predicted == dataset.test.labels)
    assert accuracy == pytest.approx(result["metrics"]["test/knn_accuracy"], abs=5e-4)


def test_pretrained_encoders_are_small_and_named_after_their_runs():
    files = [frozen.WEIGHTS / f"{name}.safetensors" for name in frozen.packaged()]
    assert len(files) >= 9
    assert sum(file.stat().st_size for file in files) < 40e6
    assert all(jaxembed.load(file).name == file.stem for file in files)
