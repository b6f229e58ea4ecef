"""Exports: another program computes the same embeddings, for every encoder and any number of images."""

from functools import cache, partial

import jax
import numpy as np
import pytest
from conftest import ENCODERS

import jaxembed
from jaxembed import encoders, export
from jaxembed.artifacts import encoder_file
from jaxembed.cli import command
from jaxembed.devices import mesh
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.pictures import Preparation, Shape

# The last is wide enough for a convolution that has a kernel of its own in training.
CNN = ENCODERS["cnn"]
EXPORTED = ENCODERS | {"cnn64": CNN | {"widths": (64,), "depth": 2}, "whitened": CNN | {"stem": "whitened"}}
BATCHES = (1, 7, 256)
IMAGES = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), np.uint8)


@cache
def random_variables(name: str) -> dict:
    module = encoders.make(EXPORTED[name])
    variables = jax.jit(partial(module.init, train=False))(jax.random.key(0), np.zeros((1, 32, 32, 3)))

    # Statistics and biases start as zeros, which would hide what is left out.
    def waves(leaf: jax.Array) -> np.ndarray:
        return np.asarray(leaf) + 0.1 * np.sin(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape) ** 2

    return jax.tree.map(waves, dict(variables))


@pytest.fixture(params=EXPORTED)
def encoder(request, monkeypatch, tmp_path):
    """An encoder with random parameters and statistics, on one device, and the file of it."""
    one = mesh.make(jax.devices()[:1])
    monkeypatch.setattr(mesh, "make", lambda: one)
    section = EXPORTED[request.param]
    spread = random_variables(request.param)
    config = {"encoder": section, "evaluate": {"distance": "cosine"}, "train": {"dtype": "float32"}}
    config |= {"data": {"name": "cifar10"}}
    preparation, stats = Preparation(Shape(32, 32, 3)), spread.get("batch_stats", {})
    saved = encoder_file.SavedEncoder("run", config, preparation, "sha", spread["params"], stats)
    encoder_file.write(saved, tmp_path / "run.safetensors")
    return jaxembed.load(tmp_path / "run.safetensors")


def written(encoder: FrozenEncoder, file, form) -> bytes:
    run = str(file.parent / "run.safetensors")
    assert command.run("export", export.main, [run, f"--format={form}", f"--output={file}"]) == 0
    return file.read_bytes()


def test_stablehlo_computes_the_embeddings_with_plain_convolutions(encoder, tmp_path):
    exported = jax.export.deserialize(bytearray(written(encoder, tmp_path / "a.stablehlo", "stablehlo")))
    for batch in BATCHES:
        np.testing.assert_allclose(
            exported.call(IMAGES[:batch]), encoder.embed(IMAGES[:batch]), atol=1e-5, rtol=1e-5
        )
    assert exported.in_avals[0].dtype == np.uint8
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    kernels = [leaf for leaf in jax.tree.leaves(encoder.weights) if leaf.ndim == 4]
    assert exported.mlir_module().count("stablehlo.convolution") == len(kernels) * len(exported.platforms)


def test_safetensors_are_the_same_encoder(encoder, tmp_path):
    written(encoder, tmp_path / "a.safetensors", "safetensors")
    np.testing.assert_array_equal(
        jaxembed.load(tmp_path / "a.safetensors").embed(IMAGES[:9]), encoder.embed(IMAGES[:9])
    )


def test_onnx_computes_the_embeddings_in_onnxruntime(encoder, tmp_path):
    pytest.importorskip("jax2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(written(encoder, tmp_path / "a.onnx", "onnx"))
    (images,) = session.get_inputs()
    assert images.type == "tensor(uint8)"
    for batch in BATCHES:
        (embedded,) = session.run(None, {images.name: IMAGES[:batch]})
        np.testing.assert_allclose(embedded, encoder.embed(IMAGES[:batch]), atol=1e-5, rtol=1e-5)


def test_without_the_extra_onnx_is_one_line(encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "jax2onnx", None)
    run = str(tmp_path / "run.safetensors")
    arguments = [run, "--format=onnx", f"--output={tmp_path / 'a.onnx'}"]
    assert command.run("export", export.main, arguments) == 2
    assert capsys.readouterr().err == "export: --format=onnx needs jax2onnx: pip install 'jaxembed[onnx]'\n"
