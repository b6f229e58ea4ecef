"""Small ONNX models: what tests of ONNX encoders read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 (the first line that may fail is above)

SIDE, DIMENSION = 8, 4
KERNEL = np.random.default_rng(0).normal(size=(3, DIMENSION)).astype(np.float32)
TOKENS = np.random.default_rng(1).normal(size=(1, 5, DIMENSION)).astype(np.float32)
# Of an output by its name: the nodes that make it of a mean [n, 3] and a code [n, DIMENSION], and its shape.
KINDS = {
    "code": ([("Identity", ["code"], {})], ["n", DIMENSION]),
    "mean": ([("Identity", ["mean"], {})], ["n", 3]),
    "tokens": ([("Unsqueeze", ["code", "one"], {}), ("Mul", ["", "tokens"], {})], ["n", 5, DIMENSION]),
    "maps": ([("Unsqueeze", ["code", "last"], {})], ["n", DIMENSION, 1, 1]),
    "names": ([("ArgMax", ["code"], {"axis": 1, "keepdims": 0})], ["n"]),
    "one": ([("Reshape", ["code", "row"], {})], ["n", DIMENSION]),
    "huge": ([("ConstantOfShape", ["sides"], {})], ["n", "d"]),
    "nan": ([("Mul", ["code", "nan"], {})], ["n", DIMENSION]),
    "wide": ([("Unsqueeze", ["code", "last"], {}), ("Expand", ["", "grid"], {})], ["n", DIMENSION, 2, 2]),
}


def proto(
    outputs: Mapping[str, str] = {"image_embeds": "code"},
    *,
    shape: Sequence[int | str] = ("n", 3, SIDE, SIDE),
    dtype: str = "FLOAT",
    inputs: int = 1,
):
    """A model that averages the pixels of each channel and multiplies by KERNEL: output -> its kind, of KINDS."""
    last = shape[3] in (1, 3, "channels")
    nodes = [
        helper.make_node("Cast", ["pixel_values"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2] if last else [2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "kernel"], ["code"]),
    ]
    infos = []
    for name, kind in outputs.items():
        steps, sides = KINDS[kind]
        for number, (operator, given, options) in enumerate(steps):
            made = name if number == len(steps) - 1 else f"{name}_{number}"
            given = [each or f"{name}_{number - 1}" for each in given]
            nodes.append(helper.make_node(operator, given, [made], **options))
        infos.append(
            helper.make_tensor_value_info(name, TensorProto.INT64 if kind == "names" else TensorProto.FLOAT, sides)
        )
    constants = {
        "kernel": KERNEL,
        "tokens": TOKENS,
        "one": np.array([1]),
        "last": np.array([2, 3]),
        "grid": np.array([1, DIMENSION, 2, 2]),
        "nan": np.float32("nan"),
        "row": np.array([1, DIMENSION]),
        "sides": np.array([2**20, 2**27]),
    }
    given = [helper.make_tensor_value_info("pixel_values", getattr(TensorProto, dtype), shape)]
    given += [helper.make_tensor_value_info(f"text_{n}", TensorProto.INT64, ["n", 7]) for n in range(inputs - 1)]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "model", given, infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(file: Path, *arguments, **options) -> Path:
    """Write a model."""
    file.write_bytes(proto(*arguments, **options).SerializeToString())
    return file


def flat(file: Path, *, shape: Sequence[int | str]) -> Path:
    """Write a model that returns its input, whatever that is, as [n, d]."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "model", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    return file


def endless(file: Path) -> Path:
    """Write a model that never ends."""
    number, truth = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("on", 9)))
    more = helper.make_tensor_value_info("more", TensorProto.BOOL, [])
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("v", "w"))
    steps = [helper.make_node("Identity", ["on"], ["more"]), helper.make_node("Add", ["v", "v"], ["w"])]
    body = helper.make_graph(steps, "body", [number, truth, given], [more, made])
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    loop = helper.make_node("Loop", ["count", "true", "x"], ["y"], body=body)
    constants = [numpy_helper.from_array(np.int64(2**62), "count"), numpy_helper.from_array(np.array(True), "true")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([loop], "model", [images], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    return file


def expected(images: np.ndarray, mean: Sequence[float] = (0,), std: Sequence[float] = (1,)) -> np.ndarray:
    """What it makes of uint8 images [n, h, w, c]."""
    return ((images / 255 - np.array(mean)) / np.array(std)).mean(axis=(1, 2)) @ KERNEL
