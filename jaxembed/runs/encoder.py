"""encoder.safetensors: a frozen encoder and everything that is needed to use it; no pickle, no checkpoint."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors.numpy

from jaxembed import files
from jaxembed.errors import InputError
from jaxembed.pictures import Shape

FILE = "encoder.safetensors"
_TYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16}


class Encoder(NamedTuple):
    """A frozen encoder as it is in a file.

    Attributes:
      name: of the run.
      config: of the run, as in its config.json.
      shape: of the images.
      sha256: of its parameters and statistics, as in result.json.
      params: its parameters, nested by the names of its layers.
      stats: its BatchNorm statistics; empty if it has none.
    """

    name: str
    config: dict[str, Any]
    shape: Shape
    sha256: str
    params: dict[str, Any]
    stats: dict[str, Any]


def write(encoder: Encoder, file: Path) -> None:
    """Write an encoder, whole or not at all, with the config as metadata; arrays keep their type."""
    arrays = _flat({"params": encoder.params, "stats": encoder.stats})
    metadata = {
        "format": "jaxembed encoder 1",
        "name": encoder.name,
        "config": json.dumps(encoder.config),
        "shape": json.dumps(encoder.shape),
        "sha256": encoder.sha256,
    }
    with files.replacing(file) as stream:
        stream.write(safetensors.numpy.save(arrays, metadata=metadata))


def read(file: Path) -> Encoder:
    """Read an encoder.

    Raises:
      InputError: if the file is missing, damaged, or holds something else.
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
            # A copy, because what is read from bytes cannot be written to.
            node[last] = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"]).copy()
        config, shape = json.loads(metadata["config"]), Shape(*json.loads(metadata["shape"]))
        return Encoder(metadata["name"], config, shape, metadata["sha256"], **tree)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of safetensors, JSON, or of a file that holds other arrays
        raise InputError(f"{file} holds no encoder, or is damaged: {type(error).__name__}: {error}") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    flat: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}/") if isinstance(value, dict) else {name: np.ascontiguousarray(value)}
    return flat
