"""Identity: what determines a run's parameters, in configs of this version and of earlier ones."""

import inspect
import json
from pathlib import Path

import finished_runs
import pytest

from configs import classifier_fashion_mnist
from jaxembed import augment
from jaxembed.artifacts import finished, identity
from jaxembed.report import experiments

# Of seed 0, whose result in docs/results was made before `mirrored`, `shifted` and `views`.
BEFORE = json.loads((Path(__file__).parent / "classifier_fashion_mnist_before.json").read_text())


@pytest.fixture
def now():
    config = identity.with_tuples(json.loads(classifier_fashion_mnist.get_config().to_json()))
    # By the protocol of that time, when the linear probe had no choice.
    linear = {"epochs": 30, "batch_size": 512, "learning_rate": 0.3, "weight_decay": 0.0, "weight_decays": ()}
    config["evaluate"]["linear"] = linear
    return config


def test_a_config_from_before_later_options_is_the_same_run(now):
    assert not {"mirrored", "shifted"} & BEFORE["objective"].keys()
    assert "views" not in BEFORE["evaluate"]
    assert identity.identity(BEFORE) == identity.identity(now)
    assert identity.current(BEFORE)["evaluate"] == now["evaluate"]


def test_a_later_option_with_another_value_than_the_neutral_one_is_a_different_run(now):
    now["objective"]["shifted"] = 1
    assert identity.identity(BEFORE) != identity.identity(now)


@pytest.mark.parametrize("key", ["log_every", "checkpoint_every", "validate_every"])
def test_how_often_something_happens_is_no_part_of_it(key, now):
    assert identity.identity(now | {"train": now["train"] | {key: 99}}) == identity.identity(now)


@pytest.mark.parametrize("key", ["epochs", "batch_size", "dtype"])
def test_what_changes_the_parameters_is_part_of_it(key, now):
    assert identity.identity(now | {"train": now["train"] | {key: 99}}) != identity.identity(now)


@pytest.mark.parametrize("train", [None, 5, []])
def test_a_damaged_section_is_no_crash(train, now):
    assert identity.identity(now | {"train": train}) != identity.identity(now)


def test_the_protocol_is_no_part_of_it(now):
    assert identity.identity(now | {"evaluate": {}}) == identity.identity(now)


def test_the_names_of_knobs_are_those_of_the_operations():
    for name, knobs in identity.KNOBS.items():
        parameters = inspect.signature(augment.OPERATIONS[name]).parameters.values()
        assert tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY) == knobs


def test_a_config_that_is_current_stays_what_it_is_and_is_not_changed(now):
    before = json.dumps(BEFORE)
    current = identity.current(now)
    assert identity.current(current) == current
    assert identity.flatten(now).items() <= identity.flatten(current).items()  # what may be left out is added
    identity.current(BEFORE)
    assert json.dumps(BEFORE) == before


def test_a_run_from_before_is_in_the_row_of_its_siblings(now, tmp_path):
    folders = [tmp_path / name for name in ("before", "now")]
    for seed, (folder, config) in enumerate(zip(folders, (BEFORE, now), strict=True)):
        finished_runs.make(folder, seed=seed)
        (folder / "config.json").write_text(json.dumps(config | {"seed": seed}))
    (each,) = experiments.group([finished.read(folder) for folder in folders])["rows"]
    assert [run.record["seed"] for run in each.runs] == [0, 1]
