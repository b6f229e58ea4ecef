"""A frozen encoder leaves its run: it embeds as the run did, from one file, images of any kind."""

import contextlib
import json
import os
import random
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from conftest import ENCODERS
from PIL import Image

import jaxembed
from jaxembed import pictures
from jaxembed.artifacts import encoder_file
from jaxembed.core.errors import InputError
from jaxembed.evaluate import forward
from jaxembed.jobs import finish
from jaxembed.run import build
from jaxembed.train import start


@pytest.fixture
def made(config, tmp_path):
    """A file of each encoder, untrained: (name, the embedding that evaluation gives, images, file)."""

    def make(name):
        config.encoder = ENCODERS[name]
        dataset = build.dataset(config, data_dir=None)
        if name != "fc":  # a feature map must be left after all halvings
            big = lambda batch: batch._replace(images=np.tile(batch.images, (1, 4, 4, 1)))  # noqa: E731
            dataset = dataset._replace(
                train=big(dataset.train), validation=big(dataset.validation), test=big(dataset.test)
            )
        run = build.run(config, dataset)
        state = start.initial(run, dataset, seed=5)
        plain, weights = json.loads(config.to_json()), run.weights(state)
        encoder = finish._encoder(name, plain, dataset, weights, forward.fingerprint(weights))
        encoder_file.write(encoder, tmp_path / encoder_file.FILE)
        images = dataset.test.images[:23]
        return forward.embed(run, state, images), images, tmp_path / encoder_file.FILE

    return make


@pytest.mark.parametrize("name", ENCODERS)
def test_loaded_encoder_embeds_as_in_evaluation(name, made):
    expected, images, file = made(name)
    loaded = jaxembed.load(file)
    embedded = loaded.embed(images)
    assert (embedded.dtype, embedded.shape, loaded.dimension) == (np.float32, expected.shape, expected.shape[1])
    np.testing.assert_allclose(embedded, expected, rtol=1e-5, atol=1e-6)


def test_encoder_file_round_trips_bit_identically_in_both_types(made, tmp_path):
    made("fc")
    first = encoder_file.read(tmp_path / encoder_file.FILE)
    half = first._replace(params=jax.tree.map(lambda leaf: leaf.astype(ml_dtypes.bfloat16), first.params))
    for encoder in (first, half):
        encoder_file.write(encoder, tmp_path / "again.safetensors")
        again = encoder_file.read(tmp_path / "again.safetensors")
        assert again._replace(params=None) == encoder._replace(params=None)
        jax.tree.map(np.testing.assert_array_equal, again.params, encoder.params)
        assert jax.tree.map(lambda leaf: leaf.dtype, again.params) == jax.tree.map(
            lambda leaf: leaf.dtype, encoder.params
        )


def test_equal_encoders_make_equal_files(made, tmp_path):
    *_, file = made("cnn")
    encoder = encoder_file.read(file)
    mixed = dict(reversed(encoder.params.items()))
    encoder_file.write(encoder._replace(params=mixed), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    with safetensors.safe_open(file, framework="np") as opened:  # any other program reads it
        assert opened.metadata()["sha256"] == encoder.sha256
        names = opened.keys()
    assert names == sorted(names)


def test_damaged_encoder_file_is_refused_or_the_same(made, tmp_path):
    """Bits flipped, bytes replaced, cut and repeated; more of it, each time another, with FUZZ=1000."""
    *_, file = made("fc")
    more = int(os.environ.get("FUZZ", "0"))
    content, chosen = file.read_bytes(), random.Random(None if more else 0)
    whole, damaged = encoder_file.read(file), tmp_path / "damaged.safetensors"
    start = content.index(b"}}") + 2  # of the arrays, after the header
    for number in range(more or 120):
        at = chosen.randrange(start) if number % 2 else chosen.randrange(start, len(content))
        replaced = bytes([content[at] ^ 1 << chosen.randrange(8)])
        if number % 4 > 1:
            replaced = chosen.choice([b"", chosen.randbytes(8), content[at : at + 9] * 2])
        damaged.write_bytes(content[:at] + replaced + content[at + 1 :])
        with contextlib.suppress(InputError):
            read = encoder_file.read(damaged)
            np.testing.assert_equal(read._asdict(), whole._asdict())  # in the padding, for example


def test_encoder_of_an_earlier_version_is_compared_with_its_hash(made, tmp_path):
    *_, file = made("fc")
    saved = encoder_file.read(file)
    metadata = {"format": encoder_file._FIRST, "name": "old", "config": json.dumps(saved.config)}
    metadata |= {"shape": json.dumps(saved.shape), "sha256": saved.sha256}
    arrays = {"/".join(path): array for path, array in encoder_file._leaves({"params": saved.params})}
    safetensors.numpy.save_file(arrays, tmp_path / "old.safetensors", metadata)
    np.testing.assert_equal(encoder_file.read(tmp_path / "old.safetensors").params, saved.params)
    next(iter(arrays.values())).flat[0] += 1
    safetensors.numpy.save_file(arrays, tmp_path / "old.safetensors", metadata)
    with pytest.raises(InputError, match="its checksum is"):
        encoder_file.read(tmp_path / "old.safetensors")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"), ("shape", "[28, 28]"), ("shape", "[28, 28, 2]"), ("shape", "[28.0, 28, 1]"),
        ("config", "[]"), ("config", "{}"), ("config", '{"data": {"name": 3}}'), ("config", "[" * 100_000),
    ],
)  # fmt: skip
def test_foreign_encoder_file_is_one_line(key, value, made, tmp_path):
    *_, file = made("fc")
    content = file.read_bytes()
    header, body = encoder_file._divided(content)
    header["__metadata__"] |= {key: value}
    header["__metadata__"]["checksum"] = encoder_file._checksum(header, body)
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + body)
    with pytest.raises(InputError) as error:
        encoder_file.read(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": "x"}, {"seed": 1.5}, {"data": {"name": ""}}, {"data": {"name": "digits", "validation": -1}},
        {"data": {"name": "folder", "path": 5}}, {"train": {"dtype": "float16"}}, {"evaluate": []},
    ],
)  # fmt: skip
def test_encoder_file_whose_config_makes_no_sense_is_one_line(changes, made, tmp_path):
    *_, file = made("fc")
    encoder = encoder_file.read(file)
    encoder_file.write(encoder._replace(config=encoder.config | changes), file)
    with pytest.raises(InputError, match=r"encoder.safetensors is damaged"):
        encoder_file.read(file)


def test_images_of_any_kind_and_number_are_embedded(made, tmp_path):
    _, images, file = made("fc")
    loaded = jaxembed.load(file)
    expected = loaded.embed(images)
    assert loaded.embed([]).shape == (0, loaded.dimension)
    np.testing.assert_allclose(loaded.embed(images[0]), expected[:1], atol=1e-6)
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "a.png")
    kinds = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "a.png"), images[0]]
    np.testing.assert_allclose(loaded.embed(kinds), np.repeat(expected[:1], 4, axis=0), atol=1e-6)
    colour = np.repeat(images, 3, axis=3)
    np.testing.assert_allclose(loaded.embed(colour), expected, atol=1e-6)
    large = np.zeros((2, 50, 30, 4), np.uint8)
    small = np.stack([pictures.to_pixels(Image.fromarray(image), loaded.preparation) for image in large])
    np.testing.assert_allclose(loaded.embed(large), loaded.embed(small), atol=1e-6)
    many = np.concatenate([images] * 30)
    np.testing.assert_allclose(loaded.embed(many), np.concatenate([expected] * 30), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((8, 8, 1), np.float32), "got an array of float32"),
        (np.zeros((8, 8, 2), np.uint8), r"got \[8, 8, 2\]"),
        ("nowhere.png", "nowhere.png cannot be read as an image"),
    ],
)
def test_non_images_are_refused(image, error, made):
    *_, file = made("fc")
    with pytest.raises(InputError, match=error):
        jaxembed.load(file).embed([image])


def test_unloadable_run_is_reported_in_one_line(made, tmp_path):
    *_, file = made("fc")
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        tmp_path / "nowhere": r"^no run folder, encoder file or pretrained encoder .*nowhere; pretrained: auto",
        empty: "is not a run folder: it has no config.json",
    }
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished/config.json").touch()
    cases[tmp_path / "unfinished"] = "is an unfinished run; run launch.py again to finish it"
    shutil.copytree(tmp_path / "unfinished", tmp_path / "old")
    (tmp_path / "old/result.json").touch()
    cases[tmp_path / "old"] = "has no encoder.safetensors; run launch.py with --evaluate to write it"
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-10])
    cases[cut] = "is not an encoder file, or is damaged"
    encoder = encoder_file.read(file)
    other = encoder.config | {"encoder": encoder.config["encoder"] | {"latent": 3}}
    encoder_file.write(encoder._replace(config=other), tmp_path / "other.safetensors")
    cases[tmp_path / "other.safetensors"] = "do not match its config"
    for path, error in cases.items():
        with pytest.raises(InputError, match=error):
            jaxembed.load(path)
