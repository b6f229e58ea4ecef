"""encoder.safetensors: a frozen encoder and everything needed to use it, without pickle or a checkpoint."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors.numpy

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.pictures import Shape

FILE = "encoder.safetensors"
_TYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16}


class SavedEncoder(NamedTuple):
    """The content of an encoder file.

    Attributes:
      name: the run's name.
      config: the run's config, as in config.json.
      shape: shape of the images it takes.
      sha256: hash of the parameters and statistics, as in result.json.
      params: the parameters, nested by layer name.
      stats: the BatchNorm statistics; empty if there are none.
      dataset: name in reports of the dataset that it was trained on; empty in a file of an earlier version.
    """

    name: str
    config: dict[str, Any]
    shape: Shape
    sha256: str
    params: dict[str, Any]
    stats: dict[str, Any]
    dataset: str = ""


def write(encoder: SavedEncoder, file: Path) -> None:
    """Write an encoder atomically, with the config as metadata; arrays keep their dtype."""
    arrays = _flat({"params": encoder.params, "stats": encoder.stats})
    metadata = {
        "format": "jaxembed encoder 1",
        "name": encoder.name,
        "config": json.dumps(encoder.config),
        "shape": json.dumps(encoder.shape),
        "sha256": encoder.sha256,
        "dataset": encoder.dataset,
    }
    with files.replacing(file) as stream:
        stream.write(safetensors.numpy.save(arrays, metadata=metadata))


def read(file: Path) -> SavedEncoder:
    """Read an encoder file.

    Raises:
      InputError: if the file is missing, damaged or not an encoder.
    """
    try:
        with safetensors.safe_open(file, framework="np") as opened:
            metadata = opened.metadata() or {}
        tree: dict[str, Any] = {"params": {}, "stats": {}}
        for name, tensor in safetensors.deserialize(file.read_bytes()):
            *folders, last = name.split("/")
            node = tree
            for each in folders:
                node = node.setdefault(each, {})
            # A copy, because an array over bytes is read-only.
            node[last] = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"]).copy()
        config, shape = json.loads(metadata["config"]), Shape(*json.loads(metadata["shape"]))
        dataset = metadata.get("dataset", "")
        return SavedEncoder(metadata["name"], config, shape, metadata["sha256"], **tree, dataset=dataset)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # from safetensors or JSON, or a file with other arrays
        raise InputError(
            f"{file} is not an encoder file, or is damaged: {type(error).__name__}: {error}"
        ) from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    flat: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}/") if isinstance(value, dict) else {name: np.ascontiguousarray(value)}
    return flat
