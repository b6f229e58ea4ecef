"""A run's parts: built from a config, or refused in one line before anything starts."""

import jax
import jax.numpy as jnp
import pytest
from conftest import ENCODERS, OBJECTIVES
from ml_collections import ConfigDict

from configs import protocols
from jaxembed.core.errors import InputError, OutOfMemory
from jaxembed.devices import mesh
from jaxembed.metrics import knn
from jaxembed.run import build
from jaxembed.run.run import Run

MLP = protocols.DIGITS["mlp"]


@pytest.fixture
def config() -> ConfigDict:
    """The quick start's."""
    from configs import quickstart

    return quickstart.get_config()


def built(config: ConfigDict) -> Run:
    build.check(config)
    return build.run(config, build.dataset(config, data_dir=None))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (
            "encoder",
            "name",
            "transformer",
            "config.encoder.name must be one of cnn, conv, efficientnet_lite, fc, resnet, vit; got",
        ),
        ("encoder", "latent", 0, "config.encoder.latent must be > 0, got 0"),
        (
            "objective",
            "name",
            "swav",
            "must be one of arcface, barlow, byol, ",
        ),
        (
            "objective",
            "augmentation",
            {"translate": {"pixels": 8}},
            "config.objective.augmentation.translate.pixels must be",
        ),
        ("objective", "temperature", 0.0, "config.objective.temperature must be > 0, got 0.0"),
        ("optimizer", "name", "adamw", "must be one of sgd, adam, lars, muon; got 'adamw' (did you mean 'adam'?)"),
        ("encoder", "widths", (64, 2.5), "config.encoder.widths must be a tuple of whole numbers, got (64, 2.5)"),
        ("encoder", "dropout", float("nan"), "config.encoder.dropout must be a finite number, got nan"),
        ("optimizer", "warmup_epochs", float("inf"), "config.optimizer.warmup_epochs must be a finite number"),
        ("optimizer", "weight_decay", -1.0, "config.optimizer.weight_decay must be >= 0, got -1.0"),
        ("data", "name", "digit", "did you mean 'digits'?"),
        (
            "data",
            "validation",
            1437,
            "config.data.validation must be less than the 1437 images there are, got 1437",
        ),
        ("data", "validation", 5, "config.data.validation must be 0 or at least the 8 devices, got 5"),
        ("train", "batch_size", 60, "config.train.batch_size must be a multiple of the 8 devices, got 60"),
        ("train", "batch_size", 1240, "must be at most the 1237 train images of digits, got 1240"),
        ("train", "epochs", 0, "config.train.epochs must be > 0, got 0"),
        ("train", "validate_every", -1, "config.train.validate_every must be >= 0, got -1"),
        ("train", "dtype", "float16", "config.train.dtype must be one of float32, bfloat16; got 'float16'"),
        ("evaluate", "views", -1, "config.evaluate.views must be >= 0, got -1"),
        ("evaluate", "augmentation", {"flp": 1}, "an operation of config.evaluate.augmentation must be one of"),
        (
            "evaluate",
            "augmentation",
            {"translate": {"pixels": 8}},
            "config.evaluate.augmentation.translate.pixels must be",
        ),
        ("evaluate", "linear", {"hidden": ()}, "config.evaluate.linear has no option 'hidden'"),
        ("evaluate", "mlp", MLP | {"hidden": ()}, "config.evaluate.mlp.hidden must not be empty"),
        ("evaluate", "mlp", MLP | {"dropout": 1.0}, "config.evaluate.mlp.dropout must be in [0, 1), got 1.0"),
        ("optimizer", "warmup_epochs", -1.0, "config.optimizer.warmup_epochs must be >= 0, got -1.0"),
        ("optimizer", "warmup_epochs", 100, "config.optimizer.warmup_epochs must be less than the 100 epochs"),
        ("objective", "augmentation", {"flip": 0.5}, "config.objective.augmentation.flip must be a section with p"),
        ("evaluate", "neighbours", 0, "config.evaluate.neighbours must be > 0, got 0"),
        ("evaluate", "neighbours", 1238, "must be at most the 1237 train images of digits, got 1238"),
        ("evaluate", "distance", "l2", "must be one of cosine, euclidean; got 'l2'"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_one_line(section, key, value, message, config):
    if key == "temperature":
        config.objective = {"name": "ntxent", "projection": (8,), "augmentation": {}, "temperature": 0.5}
    config[section][key] = value
    with pytest.raises(InputError) as error:
        built(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("train", {"epochs": 2**31 - 1}, "config.train.epochs must be at most 113025455, with 19 steps an epoch"),
        (
            "evaluate",
            {"linear": protocols.DIGITS["linear"] | {"epochs": 2**31 - 1}},
            "config.evaluate.linear.epochs must be at most 113025455, with 19 steps an epoch; got 2147483647",
        ),
        ("train", {"epochs": 2**31}, "config.train.epochs must be <= 2147483647, got 2147483648"),
        (
            "optimizer",
            {"learning_rate": 10**400},
            "config.optimizer.learning_rate must be in [1e-12, 1e9], got about",
        ),
        (
            "objective",
            {"augmentation": {"jitter": dict(p=1.0, brightness=1e308, contrast=0.0, saturation=0.0, hue=0.0)}},
            "config.objective.augmentation.jitter.brightness must be <= 1e9, got 1e+308",
        ),
    ],
)
def test_a_number_that_the_machine_does_not_have_is_refused_in_one_line(section, change, message, config):
    # ConfigDict itself would convert a whole number to a float.
    config[section] = config[section].to_dict() | change
    with pytest.raises(InputError) as error:
        built(config)
    assert message in str(error.value)


@pytest.mark.parametrize("depth", [65, 2**63, 10**5000], ids=["65", "2**63", "10**5000"])
def test_a_depth_that_would_never_be_compiled_is_refused(depth, config):
    config.encoder = {"name": "conv", "widths": (4,), "depth": depth, "latent": 8, "decoder_widths": (4,)}
    with pytest.raises(InputError, match=r"config\.encoder\.depth must be <= 64, got"):
        built(config)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("encoder", {"widths": (60_000, 60_000)}, r"config.encoder has parameters that, .* need 1\d\d.\d GB"),
        (
            "evaluate",
            {"mlp": MLP | {"hidden": (60_000, 60_000)}},
            r"config.evaluate.mlp has parameters that, .* need 57.6 GB of memory; a device has 10.0 GB",
        ),
        ("evaluate", {"views": 10**7}, r"config.evaluate.views makes 12370001237 embeddings that need 791.7 GB"),
    ],
)
def test_what_memory_cannot_hold_is_refused_in_one_line(section, change, message, config, monkeypatch):
    monkeypatch.setattr(mesh, "memory", lambda: 10e9)
    config[section].update(change)
    with pytest.raises(OutOfMemory, match=message) as error:
        built(config)
    assert "\n" not in str(error.value)


def test_a_layer_whose_output_memory_cannot_hold_is_refused(config, monkeypatch):
    monkeypatch.setattr(mesh, "memory", lambda: 1e6)
    config.encoder = {"name": "conv", "widths": (2048,), "depth": 1, "latent": 1, "decoder_widths": (1,)}
    config.train.batch_size = 1024
    with pytest.raises(OutOfMemory, match=r"config.encoder has a layer whose output for the 128 images of a step"):
        built(config)


def test_a_measure_that_asks_for_what_the_protocol_lacks_is_refused_before_training(config, monkeypatch):
    monkeypatch.setattr(knn, "fit", lambda train, *, neighbors: None)
    with pytest.raises(InputError, match=r"metrics\.knn asks for config\.evaluate\.neighbors, which is not"):
        built(config)


def test_reconstruct_with_an_encoder_that_has_no_decoder_is_refused(config):
    config.encoder = ENCODERS["resnet"] | {"width": 8}
    with pytest.raises(InputError, match="needs an encoder with a decoder, one of conv, fc; got 'resnet'"):
        built(config)


def test_a_config_that_lacks_a_section_or_has_one_too_many_is_refused(config):
    config.unlock()
    config.sede = 1
    with pytest.raises(InputError, match=r"got 'sede' \(did you mean 'seed'\?\)"):
        built(config)
    del config.sede, config.seed
    with pytest.raises(InputError, match="the config lacks seed"):
        built(config)


@pytest.mark.parametrize("seed", [-1, 2**32, 10**5000, True], ids=["-1", "2**32", "10**5000", "True"])
def test_a_seed_that_jax_would_map_to_another_is_refused(seed, config):
    config.seed = seed
    with pytest.raises(InputError, match=r"config.seed must be a whole number from 0 to 2\*\*32 - 1"):
        built(config)


def test_more_blocks_than_the_image_can_be_halved_is_refused(config):
    config.encoder = {
        "name": "cnn",
        "widths": (8, 8, 8, 8),
        "depth": 2,
        "stem": "pooled",
        "latent": 8,
        "dropout": 0.0,
    }
    config.objective = OBJECTIVES["classify"] | {"hidden": (), "dropout": 0.0, "augmentation": {}}
    with pytest.raises(InputError, match=r"config.encoder.widths has more blocks than the image can be halved"):
        built(config)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": lambda seen: {"cost": seen.outputs.embedding[:, 0]}}, "must be a dict with a 'loss', got cost"),
        ({"score": lambda seen: seen.outputs.embedding}, "must be a dict with a 'loss', got ShapeDtypeStruct"),
        ({"views": lambda key, batch: batch.images}, "views must return a pair, .*; got ShapeDtypeStruct"),
        ({"views": lambda key, batch: tuple(batch)}, r"views must return a pair, .*; got \(ShapeDtypeStruct"),
        (
            {"score": lambda seen: {"loss": seen.outputs.embedding}},
            r"score 'loss' must be one float for each row, or one for the batch, got float32 \[64, 16\]",
        ),
        (
            {"score": lambda seen: {"loss": seen.outputs.embedding.sum(), "right": seen.target.labels > 0}},
            r"score 'right' must be one float for each row, or one for the batch, got bool \[64\]",
        ),
        (
            {"score": lambda seen: {"loss": seen.outputs.embedding.sum()}, "reports": ("loss",)},
            "reports 'loss', which must be a score of each row, got float32 ",
        ),
        (
            {"score": lambda seen: {"loss": seen.outputs.embedding[1:, 0]}, "reports": ("loss",)},
            r"reports 'loss', which must be a score of each row, got float32 \[63\]",
        ),
        ({"evaluates_teacher": True}, "evaluates its teacher, but has none"),
        ({"memory": lambda key: key}, "must remember numbers as before the first step, key"),
        (
            {"memory": lambda key: jnp.zeros(3), "remember": lambda seen: seen.memory[:2]},
            r"must remember numbers as before the first step, float32 \[3\], got float32 \[2\]",
        ),
    ],
)
def test_an_objective_whose_score_or_memory_has_another_shape_is_refused(changed, message, config, monkeypatch):
    make = build.objectives.make
    monkeypatch.setattr(build.objectives, "make", lambda *given: make(*given)._replace(**changed))
    with pytest.raises(InputError, match=message) as error:
        built(config)
    assert "\n" not in str(error.value)


def test_a_batch_that_has_no_loss_is_refused(config, monkeypatch):
    one = mesh.make(jax.devices()[:1])
    monkeypatch.setattr(mesh, "make", lambda *_: one)
    config.objective, config.train.batch_size = OBJECTIVES["vicreg"], 1
    with pytest.raises(InputError, match="cannot score a batch of 1 images: there must be at least 2 rows, got 1"):
        built(config)


def test_a_queue_that_a_batch_does_not_divide_is_refused(config):
    config.objective = OBJECTIVES["moco"] | {"queue": 100}
    with pytest.raises(InputError, match="queue must be a multiple of the 128 views of a batch, got 100"):
        built(config)


def test_a_teacher_or_a_queue_that_memory_cannot_hold_is_refused(config, monkeypatch):
    monkeypatch.setattr(mesh, "memory", lambda: 16e9)
    config.objective = OBJECTIVES["moco"] | {"queue": 2**31 - 128}
    with pytest.raises(OutOfMemory, match=r"config.objective keeps arrays that need 34.4 GB of memory"):
        built(config)
