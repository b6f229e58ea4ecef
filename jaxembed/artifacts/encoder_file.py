"""encoder.safetensors: a frozen encoder and everything needed to use it, without pickle or a checkpoint."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from jaxembed.artifacts import schema
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.pictures import Preparation, Shape

FILE = "encoder.safetensors"
# Of the second, every file has a checksum.
_FIRST, _FORMAT = "jaxembed encoder 1", "jaxembed encoder 2"
_TYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16}
# Bytes of the header's length, which also align the arrays.
_ALIGNED = 8
# Bytes of a header that are looked at.
_LONGEST = 100_000_000
# Pixels along a side, and the interpolations.
_SIDE, _KINDS = 2**15, ("bicubic", "bilinear")
# Layers within layers.
_DEEPEST = 50
# What using an encoder needs of its config.
CONFIG = {
    "seed": schema.COUNT,
    "data.name": schema.NAME,
    "data.path": schema.NAME,
    "data.validation": schema.AMOUNT,
    "encoder.name": schema.TEXT,
    "train.dtype": schema.one_of("float32", "bfloat16"),
    "evaluate": schema.OBJECT,
    "evaluate.distance": schema.one_of("cosine", "euclidean"),
}


class SavedEncoder(NamedTuple):
    """The content of an encoder file.

    Attributes:
      name: the run's name.
      config: the run's config, as in config.json.
      preparation: how pictures become the images it takes.
      sha256: hash of the parameters and statistics, as in result.json.
      params: the parameters, nested by layer name.
      stats: the BatchNorm statistics; empty if there are none.
      dataset: name in reports of the dataset that it was trained on; empty in a file of an earlier version.
      text: a published model's folder, whose text side embeds texts in the same space; None if it has none. It is
        not written into an encoder file.
    """

    name: str
    config: dict[str, Any]
    preparation: Preparation
    sha256: str
    params: dict[str, Any]
    stats: dict[str, Any]
    dataset: str = ""
    text: Path | None = None

    @property
    def shape(self) -> Shape:
        """Return the shape of the images it takes."""
        return self.preparation.shape


def write(encoder: SavedEncoder, file: Path) -> None:
    """Write an encoder atomically, with the config as metadata; arrays keep their dtype.

    Equal encoders make equal files: the library writes the metadata in any order, so the header is written here.
    """
    tree = {"params": encoder.params, "stats": encoder.stats}
    arrays = {"/".join(path): np.ascontiguousarray(array) for path, array in _leaves(tree)}
    header, body = _divided(safetensors.numpy.save(arrays))
    header["__metadata__"] = {"format": _FORMAT, **described(encoder)}
    header["__metadata__"]["checksum"] = _checksum(header, body)
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % _ALIGNED)
    with files.replacing(file) as stream:
        stream.write(len(text).to_bytes(_ALIGNED, "little") + text + body)


def read(file: Path) -> SavedEncoder:
    """Read an encoder file.

    Raises:
      InputError: if the file is missing, not an encoder, or damaged: its content has another checksum.
    """
    try:
        return _read(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # from safetensors or JSON, or a file with other arrays
        reason = files.line(f"{type(error).__name__}: {error}")
        raise InputError(f"{file} is not an encoder file, or is damaged: {reason}") from error


def is_ours(file: Path) -> bool:
    """Return whether a file says that it is an encoder file, unlike a .safetensors file of the hub."""
    try:
        with files.regular(file).open("rb") as stream:
            length = int.from_bytes(stream.read(_ALIGNED), "little")
            header = json.loads(stream.read(min(length, _LONGEST)))
        return not isinstance(header, dict) or _names_us(header.get("__metadata__"))
    except (OSError, ValueError):
        return True  # `read` says what is wrong


def _names_us(metadata: Any) -> bool:
    return isinstance(metadata, dict) and str(metadata.get("format", "")).startswith("jaxembed")


def described(encoder: SavedEncoder) -> dict[str, str]:
    """Describe an encoder in texts by name: all that it is but its arrays."""
    texts = {
        "name": encoder.name,
        "config": json.dumps(encoder.config),
        "shape": json.dumps(encoder.shape),
        "sha256": encoder.sha256,
        "dataset": encoder.dataset,
    }
    _, *resized = encoder.preparation
    # Only where it is another, so that files are as before.
    return texts if encoder.preparation == Preparation(encoder.shape) else texts | {"resized": json.dumps(resized)}


def of_description(file: Path, texts: Mapping[str, str]) -> SavedEncoder:
    """Make an encoder without arrays of the texts that describe it in a file.

    Raises:
      InputError: if its config lacks something.
      Exception: nearly any, if there are not such texts.
    """
    config, shape = files.parsed(texts["config"]), _shape(json.loads(texts["shape"]))
    preparation = _preparation(shape, json.loads(texts.get("resized", "[]")))
    schema.check(file, config, CONFIG, optional=("seed", "data.name", "data.path", "data.validation"))
    return SavedEncoder(texts["name"], config, preparation, texts["sha256"], {}, {}, texts.get("dataset", ""))


def fingerprint(params: Mapping[str, Any], stats: Mapping[str, Any]) -> str:
    """Hash an encoder's parameters and statistics, in the order of their layers' names: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for _, array in (*_leaves(params), *_leaves(stats)):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()


def _read(file: Path) -> SavedEncoder:
    content = files.regular(file).read_bytes()
    tensors = safetensors.deserialize(content)  # which checks the header
    header, body = _divided(content)
    metadata = header.get("__metadata__", {})
    if metadata.get("format") not in (_FIRST, _FORMAT):
        raise ValueError(f"its format must be {_FORMAT!r}, got {metadata.get('format')!r}")
    tree: dict[str, Any] = {"params": {}, "stats": {}}
    for name, tensor in tensors:
        *folders, last = name.split("/")
        if len(folders) > _DEEPEST:
            raise ValueError(f"layers must be at most {_DEEPEST} deep, got {len(folders)}")
        node = tree
        for each in folders:
            node = node.setdefault(each, {})
        # A copy, because an array over bytes is read-only.
        node[last] = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"]).copy()
    if metadata["format"] == _FORMAT:
        wanted, got = metadata["checksum"], _checksum(header, body)
    else:  # whose hash is that of the run's float32
        exact = all(tensor["dtype"] == "F32" for _, tensor in tensors)
        wanted, got = metadata["sha256"], fingerprint(**tree) if exact else metadata["sha256"]
    if wanted != got:
        raise ValueError(f"its checksum is {got}, not {wanted}")
    return of_description(file, metadata)._replace(**tree)


def _divided(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Divide a file into its header and the bytes of its arrays."""
    start = _ALIGNED + int.from_bytes(content[:_ALIGNED], "little")
    return json.loads(content[_ALIGNED:start]), content[start:]


def _checksum(header: Mapping[str, Any], body: bytes) -> str:
    """Hash all of a file but its checksum."""
    metadata = {key: value for key, value in header["__metadata__"].items() if key != "checksum"}
    text = json.dumps({**header, "__metadata__": metadata}, sort_keys=True)
    return hashlib.sha256(text.encode() + body).hexdigest()


def _shape(sides: Any) -> Shape:
    if not (isinstance(sides, list) and len(sides) == 3 and all(type(side) is int for side in sides)):
        raise ValueError(f"shape must be three whole numbers, got {sides!r}")
    shape = Shape(*sides)
    if min(shape) < 1 or max(shape) > _SIDE or shape.channels not in (1, 3):
        raise ValueError(f"shape must be [h, w, c] of images with 1 or 3 channels, got {sides}")
    return shape


def _preparation(shape: Shape, resized: Any) -> Preparation:
    if resized == []:
        return Preparation(shape)
    side, interpolation, stretched = resized
    known = interpolation in _KINDS and type(stretched) is bool
    if type(side) is not int or not (side == 0 or max(shape[:2]) <= side <= _SIDE) or not known:
        raise ValueError(
            f"resized must be a side of at least the shape's, one of {_KINDS}, and whether it is stretched, "
            f"got {resized!r}"
        )
    return Preparation(shape, side, interpolation, stretched)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the arrays of a tree and their paths, in the order of the names at each level, as JAX has them."""
    for key in sorted(tree):
        if isinstance(tree[key], Mapping):
            yield from _leaves(tree[key], (*path, key))
        else:
            yield (*path, key), tree[key]
