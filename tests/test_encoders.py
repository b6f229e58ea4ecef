"""Every encoder in the folder keeps the contract; each one's size is what its docstring says."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ENCODERS

from jaxembed import encoders
from jaxembed.core import options
from jaxembed.core.errors import InputError
from jaxembed.encoders import cnn

NAMES = options.names(encoders)


def parameters(variables: dict) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


IMAGES = np.random.default_rng(0).random((4, 9, 7, 3), np.float32)


def initial(encoder) -> dict:
    return jax.jit(partial(encoder.init, train=False))(jax.random.key(1), IMAGES)


@cache
def initialised(name: str):
    """A small encoder outside training, as one program, and its variables."""
    encoder = encoders.make(ENCODERS[name])
    return jax.jit(partial(encoder.apply, train=False)), initial(encoder)


def test_every_encoder_has_a_tiny_version_for_the_tests():
    assert set(NAMES) == set(ENCODERS)


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_maps_images_to_rows_and_is_frozen_outside_training(name):
    embed, variables = initialised(name)
    rows = np.asarray(embed(variables, IMAGES))
    assert rows.ndim == 2
    assert len(rows) == 4
    assert np.isfinite(rows).all()
    assert len(np.unique(rows.round(6), axis=0)) == 4
    # An image's embedding does not depend on its neighbours.
    np.testing.assert_allclose(embed(variables, IMAGES[2:3]), rows[2:3], atol=1e-5)


@pytest.mark.parametrize("side", [96, 97])
@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_takes_larger_images(name, side):
    start = partial(encoders.make(ENCODERS[name]).init_with_output, train=False)
    rows, _ = jax.eval_shape(start, jax.random.key(0), jnp.zeros((2, side, side, 3)))
    assert len(rows) == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_must_be_told_whether_it_trains(name):
    encoder = encoders.make(ENCODERS[name])
    with pytest.raises(TypeError, match="train"):
        encoder.init(jax.random.key(1), jnp.asarray(IMAGES))


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_computes_in_bfloat16_when_its_inputs_are(name):
    embed, variables = initialised(name)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, jnp.bfloat16), variables["params"])
    rows = embed(variables | {"params": params}, IMAGES.astype(jnp.bfloat16))
    assert rows.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", encoders.with_decoder())
@pytest.mark.parametrize("shape", [(9, 7, 3), (8, 8, 1), (28, 28, 1)])
def test_a_decoder_returns_images_of_the_shape_and_range_of_the_input(name, shape):
    encoder = encoders.make(ENCODERS[name])
    decoder = encoder.decoder(shape)
    code = 20 * np.random.default_rng(0).normal(size=(3, 6))
    images = np.asarray(jax.jit(partial(decoder.init_with_output, train=False))(jax.random.key(1), code)[0])
    assert images.shape == (3, *shape)
    assert images.min() >= 0
    assert images.max() <= 1


def test_only_the_autoencoders_encoders_have_a_decoder():
    assert encoders.with_decoder() == ("conv", "fc")


FC = {"name": "fc", "widths": (256, 128), "latent": 32, "dropout": 0.0}
CONV = {"name": "conv", "widths": (64, 128, 128), "depth": 1, "latent": 512, "decoder_widths": (64, 64, 32)}
CNN = {"name": "cnn", "widths": (64, 128, 256), "depth": 2, "stem": "strided", "latent": 128, "dropout": 0.0}
PLAIN = {"mean": (), "deviation": ()}
RESNET = {"name": "resnet", "width": 64, "stem": "small"} | PLAIN
LITE = {"name": "efficientnet_lite", "width": 1.0, "depth": 1.0, "head": 1280} | PLAIN
VIT = ENCODERS["vit"] | {
    "patch": 14,
    "grid": 37,
    "width": 384,
    "depth": 12,
    "heads": 6,
    "hidden": 1536,
    "registers": 0,
}


@pytest.mark.parametrize(
    ("given", "shape", "stated"),
    [
        (FC, (28, 28, 1), 237_984),
        (CONV, (32, 32, 3), 659_584),
        (CNN, (32, 32, 3), 1_180_544),
        (CNN | {"depth": 3, "stem": "pooled"}, (32, 32, 3), 1_954_240),
        (CNN | {"widths": (64, 256, 256), "stem": "whitened"}, (32, 32, 3), 2_002_816),
        (RESNET | {"depth": 18}, (32, 32, 3), 11_168_832),
        (RESNET | {"depth": 34}, (32, 32, 3), 21_276_992),
        (RESNET | {"depth": 18, "stem": "large"}, (64, 64, 3), 11_176_512),
        (RESNET | {"depth": 50, "stem": "large"}, (64, 64, 3), 23_508_032),
        (LITE, (64, 64, 3), 3_371_008),
        (VIT, (224, 224, 3), 22_055_808),
    ],
    ids=["fc", "conv", "cnn", "deeper", "whitened", "resnet18", "resnet34", "large", "resnet50", "lite", "vit"],
)
def test_encoder_has_the_number_of_parameters_in_its_docstring(given, shape, stated):
    encoder = encoders.make(given)
    variables = jax.eval_shape(lambda: encoder.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    assert parameters(variables) == stated
    module = options.find(encoders, given["name"], what="an encoder")
    assert f"{stated:,}" in module.Encoder.__doc__


@pytest.mark.parametrize(
    ("options", "shape", "stated"),
    [(FC, (28, 28, 1), 238_736), (CONV, (32, 32, 3), 750_348)],
    ids=["fc", "conv"],
)
def test_decoder_has_the_number_of_parameters_in_its_docstring(options, shape, stated):
    decoder = encoders.make(options).decoder(shape)
    code = jnp.zeros((1, options["latent"]))
    variables = jax.eval_shape(lambda: decoder.init(jax.random.key(0), code, train=False))
    assert parameters(variables) == stated
    assert f"{stated:,}" in type(decoder).__doc__


def test_a_whitened_stem_gives_uncorrelated_outputs_of_variance_1_and_their_negatives():
    pixels = np.random.default_rng(0).random((64, 9, 7, 3))
    pixels += np.roll(pixels, 1, axis=1)  # neighbours are correlated
    variables = jax.jit(cnn.Whitening().init)(jax.random.key(0), pixels)
    rows = np.asarray(jax.jit(cnn.Whitening().apply)(variables, pixels)).reshape(-1, 24)
    np.testing.assert_allclose(rows[:, :12].T @ rows[:, :12] / len(rows), np.eye(12), atol=0.02)
    np.testing.assert_array_equal(rows[:, 12:], -rows[:, :12])


def test_images_without_any_variance_are_whitened_to_zeros():
    flat = np.full((5, 9, 7, 1), 0.3)
    rows, _ = jax.jit(cnn.Whitening().init_with_output)(jax.random.key(0), flat)
    np.testing.assert_allclose(rows, np.zeros((5, 8, 6, 8)), atol=0.01)


def test_a_whitened_stem_is_not_trained():
    encoder = encoders.make(ENCODERS["cnn"] | {"stem": "whitened"})
    variables = initial(encoder)
    assert "Whitening_0" not in variables["params"]
    train = jax.jit(partial(encoder.apply, train=True, mutable=["batch_stats"]))
    _, updated = train(variables, 1 - IMAGES**2, rngs={"dropout": jax.random.key(2)})
    before, after = (each["batch_stats"]["Whitening_0"] for each in (variables, updated))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            FC | {"name": "fcc"},
            "one of cnn, conv, efficientnet_lite, fc, resnet, vit; got 'fcc' .did you mean 'fc'",
        ),
        (FC | {"latent": 0}, "config.encoder.latent must be > 0, got 0"),
        (FC | {"widths": (256, -1)}, "config.encoder.widths must be > 0"),
        (FC | {"dropout": 1.0}, "config.encoder.dropout must be in .0, 1., got 1.0"),
        (FC | {"latnet": 3}, "has no option 'latnet' .did you mean 'latent'"),
        ({"name": "fc", "latent": 3}, "config.encoder lacks widths, dropout"),
        ({"latent": 3}, "config.encoder lacks a name"),
        (CNN | {"stem": "padded"}, "config.encoder.stem must be one of pooled, strided, whitened; got 'padded'"),
        (CONV | {"widths": ()}, "config.encoder.widths must not be empty"),
        (CONV | {"decoder_widths": (8,)}, "decoder_widths must have as many as widths, 3, got .8,."),
        (RESNET | {"depth": 19}, "config.encoder.depth must be one of 18, 34, 50; got 19"),
    ],
)
def test_an_encoder_that_makes_no_sense_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as error:
        encoders.make(options)
    assert "\n" not in str(error.value)
