"""ONNX encoders: any model of images gives the embeddings that it should, or one line says why not."""

import json
import os
import pickle
import signal
import threading
from argparse import Namespace
from pathlib import Path

import numpy as np
import onnx_models
import pytest
from onnx_models import DIMENSION, KERNEL, SIDE, TOKENS, expected, helper, numpy_helper, onnx
from PIL import Image

import jaxembed
from jaxembed import export, search
from jaxembed.artifacts import preprocessor
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.artifacts.preprocessor import Preprocessor
from jaxembed.cli import command
from jaxembed.core.errors import Diverged, InputError
from jaxembed.doctor import __main__ as doctor
from jaxembed.embed import __main__ as embed
from jaxembed.embed import vectors
from jaxembed.embed.onnx import metadata
from jaxembed.explore import __main__ as explore
from jaxembed.measure import __main__ as measure
from jaxembed.measure import transferred
from jaxembed.pictures import Preparation, Shape

MEAN, STD = (0.1, 0.5, 0.9), (0.2, 0.5, 0.4)
STANDARD = {"mean": MEAN, "std": STD}
IMAGES = np.random.default_rng(0).integers(0, 256, (37, SIDE, SIDE, 3), np.uint8)
CLIP = {
    "size": {"shortest_edge": 10},
    "crop_size": {"height": 8, "width": 8},
    "do_center_crop": True,
    "resample": 3,
}
CLIP |= {"image_mean": list(MEAN), "image_std": list(STD)}


@pytest.mark.parametrize("dtype", ["FLOAT", "FLOAT16", "UINT8"])
@pytest.mark.parametrize(
    "shape",
    [
        ("n", 3, SIDE, SIDE),
        ("n", SIDE, SIDE, 3),
        (5, 3, SIDE, SIDE),
        (1, "h", "w", 3),
        ("n", "h", "w", "channels"),
        ("n", "channels", "h", "w"),
        ("n", "c", SIDE, SIDE),
        (-1, 3, -1, -1),
    ],
)
def test_every_kind_of_input_gives_the_same_embeddings(shape, dtype, tmp_path):
    file = onnx_models.write(tmp_path / "a.onnx", shape=shape, dtype=dtype)
    size = {} if shape[2] == SIDE else {"size": SIDE}
    encoder = jaxembed.load(file, **size, **({} if dtype == "UINT8" else STANDARD))
    wanted = 255 * expected(IMAGES) if dtype == "UINT8" else expected(IMAGES, MEAN, STD)
    tolerance = {"rtol": 0, "atol": (1e-2 if dtype == "FLOAT16" else 1e-5) * np.abs(wanted).max()}
    assert (encoder.shape, encoder.dimension, encoder.distance) == ((SIDE, SIDE, 3), DIMENSION, "cosine")
    for count in (1, 37):
        np.testing.assert_allclose(encoder.embed(IMAGES[:count]), wanted[:count], **tolerance)


@pytest.mark.parametrize(
    ("outputs", "options", "factor", "printed"),
    [
        ({"last_hidden_state": "tokens", "pooler_output": "code"}, {}, 1, "4 numbers of pooler_output"),
        ({"logits": "mean", "pooler_output": "maps", "image_embeds": "code"}, {}, 1, "4 numbers of image_embeds"),
        ({"pooler_output": "maps", "logits": "mean"}, {}, 1, "4 numbers of pooler_output"),
        ({"features": "code", "maps": "wide", "names": "names"}, {}, 1, "4 numbers of features"),
        ({"last_hidden_state": "tokens"}, {}, TOKENS[0, 0], "of last_hidden_state, its first token"),
        ({"a": "code", "b": "mean"}, {"output_name": "a"}, 1, "4 numbers of a"),
        ({"a": "code", "b": "tokens"}, {"output_name": "b"}, TOKENS[0, 0], "of b, its first token"),
    ],
)
def test_embedding_is_the_pooled_output_or_the_first_token_or_the_one_asked_for(
    outputs, options, factor, printed, tmp_path, capsys
):
    encoder = jaxembed.load(onnx_models.write(tmp_path / "a.onnx", outputs), **STANDARD, **options)
    np.testing.assert_allclose(encoder.embed(IMAGES[:3]), expected(IMAGES[:3], MEAN, STD) * factor, atol=1e-5)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(printed) or printed in line
    assert "pictures resized to cover 8 × 8 (bicubic), RGB, mean 0.1,0.5,0.9, std 0.2,0.5,0.4" in line


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ({}, {}, "a.onnx does not say how .*: use --mean, --std, or put its preprocessor_config.json next to it"),
        ({"shape": ("n", 3, "h", "w")}, STANDARD, "use --size, or put"),
        ({}, STANDARD | {"size": 7}, "--size must be at least 8"),
        ({}, STANDARD | {"mean": (0.1, 0.2)}, "--mean must be one number or 3"),
        ({}, STANDARD | {"std": (0.0,)}, "std must be > 0, got"),
        ({}, STANDARD | {"mean": (float("nan"),)}, "mean must be a tuple of finite numbers"),
        ({}, STANDARD | {"sise": 8}, "did you mean 'size'"),
        ({}, STANDARD | {"output_name": "b"}, r"outputs: image_embeds \[2, 4\]; --output_name must be"),
        ({"dtype": "UINT8"}, STANDARD, "takes uint8 pixels as they are: leave out --mean and --std"),
        ({"dtype": "INT64"}, STANDARD, r"must be float32, float16 or uint8, got tensor\(int64\)"),
        ({"inputs": 2}, STANDARD, "must have one input, images; its inputs: pixel_values, text_0"),
        ({"shape": ("n", 3, 10**6, 10**6)}, STANDARD, "sides of up to 4096 pixels"),
        (
            {"outputs": {"a": "code", "b": "mean"}},
            STANDARD,
            r"a \[2, 4\], b \[2, 3\]; choose one with --output_name",
        ),
        ({"outputs": {"a": "wide"}}, STANDARD, r"a \[2, 4, 2, 2\]; choose one"),
        ({"outputs": {"a": "tokens"}}, STANDARD, r"a \[2, 5, 4\]; choose one"),
    ],
)
def test_what_is_not_known_or_does_not_fit_is_one_line(model, options, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        jaxembed.load(onnx_models.write(tmp_path / "a.onnx", **model), **options)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("shape", [("n", 5, 8, 7), ("n", 3), ("n", 3, 2, 8, 8), None])
def test_input_that_is_not_images_is_one_line(shape, tmp_path):
    with pytest.raises(InputError, match=r"the input of .*a.onnx, x, must be images .* with 1 or 3 channels, got"):
        jaxembed.load(onnx_models.flat(tmp_path / "a.onnx", shape=shape), **STANDARD)


def test_model_that_takes_one_image_and_says_any_number_gets_one(tmp_path):
    encoder = jaxembed.load(onnx_models.write(tmp_path / "a.onnx", {"a": "one"}), **STANDARD)
    np.testing.assert_allclose(encoder.embed(IMAGES[:3]), expected(IMAGES[:3], MEAN, STD), atol=1e-5)


def test_model_that_needs_more_memory_than_there_is_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"a\.onnx.*(ConstantOfShape|bad_alloc)"):
        jaxembed.load(onnx_models.write(tmp_path / "a.onnx", {"a": "huge"}), **STANDARD)


def test_model_that_never_ends_is_interrupted(tmp_path):
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        jaxembed.load(onnx_models.endless(tmp_path / "a.onnx"), **STANDARD)


def test_embedding_that_is_not_finite_is_one_line(tmp_path):
    file = onnx_models.write(tmp_path / "a.onnx", {"a": "nan"})
    with pytest.raises(Diverged, match="a produced embeddings that are not finite"):
        jaxembed.load(file, **STANDARD).embed(IMAGES[:1])


@pytest.mark.parametrize(
    "damage", ["empty", "text", "pickle", "half", "most", "no graph", "no operator", "folder", "missing"]
)
def test_what_is_not_onnx_is_one_line(damage, tmp_path):
    file = onnx_models.write(tmp_path / "a.onnx")
    content = file.read_bytes()
    foreign = onnx.ModelProto.FromString(content)
    foreign.graph.node[1].domain = "somebody"
    foreign.opset_import.add(domain="somebody", version=1)
    contents = {
        "empty": b"",
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "pickle": pickle.dumps([1]),
        "half": content[: len(content) // 2],
        "most": content[:-9],
        "no graph": onnx.ModelProto(ir_version=8).SerializeToString(),
        "no operator": foreign.SerializeToString(),
    }
    if damage in contents:
        file.write_bytes(contents[damage])
    else:
        file.unlink()
        if damage == "folder":
            file.mkdir()
    with pytest.raises(InputError, match=r"a\.onnx") as caught:
        jaxembed.load(file, **STANDARD)
    assert len(str(caught.value).splitlines()) == 1


def stored_elsewhere(file, location, *, inside=False):
    """Write a model whose kernel is in another file, in a node's attribute or not."""
    proto = onnx_models.proto()
    tensor = next(each for each in proto.graph.initializer if each.name == "kernel")
    if inside:
        constant = helper.make_node("Constant", [], ["kernel"], value=tensor)
        proto.graph.initializer.remove(tensor)
        proto.graph.node.insert(0, constant)
        tensor = proto.graph.node[0].attribute[0].t
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(KERNEL.nbytes)}.items():
        tensor.external_data.add(key=key, value=value)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(proto.SerializeToString())
    return file


def test_arrays_next_to_the_model_are_read_and_are_part_of_what_it_is(tmp_path):
    file = stored_elsewhere(tmp_path / "model" / "a.onnx", "a.onnx_data")
    hashes = []
    for factor in (1, 2):
        (file.parent / "a.onnx_data").write_bytes((factor * KERNEL).tobytes())
        encoder = jaxembed.load(file, **STANDARD)
        wanted = factor * expected(IMAGES[:2], MEAN, STD)
        np.testing.assert_allclose(encoder.embed(IMAGES[:2]), wanted, atol=1e-5)
        hashes.append(encoder.saved.sha256)
    assert len(set(hashes)) == 2
    # As in the hub's cache: links to files of one other folder.
    (tmp_path / "snapshot").mkdir()
    for name in ("a.onnx", "a.onnx_data"):
        (file.parent / name).rename(file.parent / f"blob-{name}")
        (tmp_path / "snapshot" / name).symlink_to(f"../model/blob-{name}")
    encoder = jaxembed.load(tmp_path / "snapshot" / "a.onnx", **STANDARD)
    assert encoder.saved.sha256 == hashes[1]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "location", ["/secret", "../secret", "sub/secret", "link", "missing", "pipe", "..", "", "*/_ORT_MEM_ADDR_/*"]
)
def test_file_that_is_not_next_to_the_model_is_not_read(location, inside, tmp_path):
    (tmp_path / "secret").write_bytes(KERNEL.tobytes())
    location = str(tmp_path / "secret") if location == "/secret" else location
    file = stored_elsewhere(tmp_path / "model" / "a.onnx", location, inside=inside)
    (file.parent / "sub").mkdir()
    (file.parent / "sub" / "secret").write_bytes(KERNEL.tobytes())
    (file.parent / "link").symlink_to("../secret")
    os.mkfifo(file.parent / "pipe")
    with pytest.raises(InputError, match=r"only files in its own folder|only its own|not next to|cannot be read"):
        jaxembed.load(file, **STANDARD)


STRETCHED = CLIP | {"do_center_crop": None}
CUT = Preprocessor(10, (8, 8), False, "bicubic", MEAN, STD)


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (CLIP, CUT),
        (CLIP | {"size": 10, "crop_size": 8}, CUT),
        (STRETCHED | {"size": {"height": 8, "width": 6}}, CUT._replace(side=0, crop=(8, 6), stretched=True)),
        (STRETCHED | {"size": 8}, CUT._replace(side=0, stretched=True)),
        (STRETCHED | {"size": {"shortest_edge": 7}, "crop_pct": 0.875}, CUT._replace(side=8, crop=(7, 7))),
        (STRETCHED | {"size": 384, "crop_pct": 0.9}, CUT._replace(side=0, crop=(384, 384), stretched=True)),
        (CLIP | {"resample": 2}, CUT._replace(interpolation="bilinear")),
        (CLIP | {"do_normalize": False}, CUT._replace(mean=(0.0,), deviation=(1.0,))),
        (
            CLIP | {"do_rescale": False, "image_mean": [127.5], "image_std": [51]},
            CUT._replace(mean=(0.5,), deviation=(0.2,)),
        ),
        (CLIP | {"image_mean": None, "resample": None}, CUT._replace(mean=None, interpolation=None)),
    ],
)
def test_preprocessor_config_is_read_as_transformers_does(config, wanted, tmp_path):
    (tmp_path / preprocessor.FILE).write_text(json.dumps(config))
    assert preprocessor.read(tmp_path / preprocessor.FILE) == wanted


SHAPES = "does not resize pictures to one shape"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CLIP | {"do_pad": True}, "asks for do_pad, which is not done here"),
        (CLIP | {"rescale_offset": True}, "asks for rescale_offset"),
        (CLIP | {"image_processor_type": "LevitImageProcessor"}, "asks for LevitImageProcessor"),
        (CLIP | {"do_resize": False}, "do_resize is false"),
        (CLIP | {"do_center_crop": False}, SHAPES),
        (CLIP | {"crop_size": 11}, SHAPES),
        (
            CLIP | {"size": 10, "image_processor_type": "DeiTImageProcessor"},
            SHAPES,
        ),
        (CLIP | {"size": {"longest_edge": 10}}, SHAPES),
        (CLIP | {"size": 10**6}, "must be sides from 1 to 4096"),
        (CLIP | {"size": "large"}, "must be sides from 1 to 4096"),
        (CLIP | {"resample": 1}, r"resample must be 2 \(bilinear\) or 3 \(bicubic\), got 1"),
        (CLIP | {"image_std": [0, 1, 1]}, "image_std must be a list of 1 or 3 numbers above 0"),
        (CLIP | {"image_mean": "blue"}, "image_mean must be a list"),
        ({"do_normalize": True, "sampling_rate": 16000}, "must be sides from 1 to 4096, got None"),
    ],
)
def test_preprocessing_that_is_not_done_here_is_one_line(config, message, tmp_path):
    (tmp_path / preprocessor.FILE).write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        preprocessor.read(tmp_path / preprocessor.FILE)


@pytest.mark.parametrize("folder", ["", "onnx"])
def test_preprocessor_config_is_found_as_the_hub_lays_it_out_and_flags_come_before_it(folder, tmp_path):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / preprocessor.FILE).write_text(json.dumps(CLIP))
    file = onnx_models.write(tmp_path / folder / "a.onnx", shape=("n", 3, "h", "w"))
    encoder = jaxembed.load(file)
    assert encoder.preparation == Preparation(Shape(8, 8, 3), 10, "bicubic")
    np.testing.assert_allclose(encoder.embed(IMAGES), expected(IMAGES, MEAN, STD), atol=1e-5)
    other = jaxembed.load(file, size=12, interpolation="bilinear", mean=(0,), std=(1,))
    assert other.preparation == Preparation(Shape(12, 12, 3), 12, "bilinear")
    same = (jaxembed.load(file, mean=mean, std=(1,)).saved.sha256 for mean in ((0,), (0.0, 0.0, 0.0)))
    assert len(set(same)) == 1
    assert len({encoder.saved.sha256, other.saved.sha256, jaxembed.load(file, mean=(0,)).saved.sha256}) == 3
    onnx_models.write(file, shape=("n", 3, 7, 7))
    with pytest.raises(
        InputError, match=r"takes images of 7 × 7 pixels; .*preprocessor_config.json cuts out 8 × 8"
    ):
        jaxembed.load(file)


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures of two kinds."""
    for number in range(12):
        file = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(IMAGES[number], number, axis=2).repeat(2, axis=1)).save(file)
    return tmp_path / "photos"


def test_commands_take_an_onnx_file_and_refuse_vectors_of_another_use_of_it(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, flags = str(onnx_models.write(tmp_path / "a.onnx")), ["--mean=0.1,0.5,0.9", "--std=0.2,0.5,0.4"]
    assert command.run("embed", embed.main, [model, str(photos), "--output=a.npz", *flags]) == 0
    read = vectors.read(Path("a.npz"))
    encoder = jaxembed.load(model, **STANDARD)
    np.testing.assert_allclose(read.embeddings, encoder.embed([photos / name for name in read.names]), atol=1e-5)
    picture = str(photos / read.names[5])
    assert command.run("search", search.main, [model, "a.npz", picture, "--count=1", *flags]) == 0
    assert f"0.0000  {read.names[5]}" in capsys.readouterr().out
    assert command.run("search", search.main, [model, "a.npz", picture, *flags, "--interpolation=bilinear"]) == 2
    assert "a.npz was written with a different encoder, a" in capsys.readouterr().err
    assert command.run("doctor", doctor.main, [model, str(photos), *flags]) == 0
    asked = Namespace(source=str(photos), data_dir=None, distance=None, copies=None)
    found, album = explore._load_source(encoder, asked)
    np.testing.assert_array_equal(found.embeddings, read.embeddings)
    assert album.picture(read.names[0]).mode == "RGB"
    for name, main in (("doctor", doctor.main), ("explore", explore.main)):
        assert command.run(name, main, [model, *flags, *["--port=0", "--output=b"][name == "doctor" :][:1]]) == 2
        assert "a was not trained here: name a folder" in capsys.readouterr().err


def test_an_onnx_file_is_measured_on_a_dataset(tmp_path):
    file = onnx_models.write(tmp_path / "a.onnx")
    arguments = [str(file), "--on=digits", "--mean=0", "--std=1", f"--workdir={tmp_path / 'm'}"]
    asked = measure._parser(()).parse_args(arguments)
    measured = transferred.make(asked)
    encoder = jaxembed.load(file, mean=(0,), std=(1,))
    assert (measured.sha256, measured.trained_on) == (encoder.saved.sha256, None)
    assert measured.config["evaluate"]["neighbours"] == 10
    train = encoder.embed(measured.dataset.train.images[:5])
    np.testing.assert_allclose(measured.embeddings.by_split["train"][:5], train, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "main", "arguments", "message"),
    [
        (
            "export",
            export.main,
            ["--format=safetensors", "--output=b"],
            "is an ONNX encoder, which embeds, but",
        ),
        ("measure", measure.main, ["--workdir=m", "--mean=0"], "--mean is for the encoder of --on"),
        ("embed", embed.main, ["p", "--output=b.npz", "--std=x"], "argument --std: invalid numbers value: 'x'"),
        ("embed", embed.main, ["p", "--output=b.npz", "--size=0"], r"size must be in [1, 4096], got 0"),
    ],
)
def test_what_a_command_cannot_do_with_an_onnx_file_is_one_line(name, main, arguments, message, tmp_path, capsys):
    file = onnx_models.write(tmp_path / "a.onnx")
    assert command.run(name, main, [str(file), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_flags_are_refused_without_a_run_and_for_an_encoder_that_says_itself_how_it_is_used(capsys):
    assert command.run("search", search.main, ["a.npz", "a.png", "--size=8"]) == 2
    assert "search: --size is for an ONNX encoder, and RUN is not given" in capsys.readouterr().err
    with pytest.raises(InputError, match="--mean, --std is for an ONNX encoder; quickstart says itself"):
        jaxembed.load("quickstart", **STANDARD)


@pytest.fixture
def exported(tmp_path):
    """A model that says that it was exported from an encoder: (the file, the encoder)."""
    config = {"data": {"name": "cifar10"}, "encoder": {"name": "fc"}, "train": {"dtype": "float32"}}
    config |= {"evaluate": {"distance": "euclidean"}}
    prepared = Preparation(Shape(SIDE, SIDE, 3), 10, "bilinear")
    saved = SavedEncoder("run", config, prepared, "c0ffee", {}, {}, "CIFAR-10")
    proto = onnx_models.proto({"embeddings": "code"}, shape=("n", SIDE, SIDE, 3), dtype="UINT8")
    (tmp_path / "a.onnx").write_bytes(metadata.write(proto, saved))
    return tmp_path / "a.onnx", saved


def test_exported_encoder_is_the_encoder_without_a_flag(exported, tmp_path, capsys):
    file, saved = exported
    encoder = jaxembed.load(file)
    assert encoder.saved == saved
    assert (encoder.name, encoder.distance, encoder.preparation) == ("run", "euclidean", saved.preparation)
    np.testing.assert_allclose(encoder.embed(IMAGES), 255 * expected(IMAGES), rtol=1e-5, atol=1e-3)
    about = vectors.About("photos", "run", saved.sha256, "euclidean")
    vectors.check_encoder(vectors.Vectors(np.zeros((1, DIMENSION)), ["a"], [""], about), encoder, file)
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="says itself how it is used; leave out --size"):
        jaxembed.load(file, size=8)


@pytest.mark.parametrize("part", ["kernel", "distance", "sha256", "checksum", "format"])
def test_exported_encoder_that_was_changed_is_one_line(part, exported):
    file, _ = exported
    proto = onnx.ModelProto.FromString(file.read_bytes())
    if part == "kernel":
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(KERNEL + 1e-3, "kernel"))
    else:
        entry = next(each for each in proto.metadata_props if each.key == f"jaxembed.{part}")
        entry.value = "cosine" if part == "distance" else ""
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="was changed after jaxembed exported it"):
        jaxembed.load(file)
