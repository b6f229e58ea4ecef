"""Published encoders: weights that others trained, as encoders of this package, exactly.

A family is one file: its names, where their files are, how its arrays become parameters, and how its pictures are
prepared. A file or a model folder of the hub's is recognised by the names of its arrays.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxembed import encoders
from jaxembed.artifacts import encoder_file
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import clip, dinov2, efficientnet_lite0, hub, resnet, timm_vit, weights
from jaxembed.encoders.published.weights import Arrays, Model, Source

FAMILIES = (efficientnet_lite0, dinov2, clip, timm_vit, resnet)


class Found(NamedTuple):
    """A name's family and source."""

    family: Any
    source: Source


def names() -> tuple[str, ...]:
    """List the names of the published encoders."""
    return tuple(sorted(name for family in FAMILIES for name in family.NAMES))


def source(name: str) -> Source:
    """Return where the file of a name is from."""
    return _found(name).source


def load(name: str) -> SavedEncoder:
    """Load the encoder of one of the `names`, which is downloaded once if it is not there.

    Raises:
      InputError: if it can neither be found nor downloaded, or is damaged.
    """
    family, source = _found(name)
    if source.package:
        return _saved(name, family, weights.of_package(source, what=name), source.data)
    return _saved(name, family, weights.of_folder(hub.folder(source, name=name)), source.data)


def read(path: Path) -> SavedEncoder:
    """Read a .safetensors file, or a model folder as the hub lays it out.

    Raises:
      InputError: if it is damaged, or none of the families.
    """
    model = weights.of_folder(path) if path.is_dir() else weights.of_file(path)
    for family in FAMILIES:
        if family.recognises(model.arrays):
            return _saved(path.stem if path.is_file() else path.name, family, model)
    known = ", ".join(family.TITLE for family in FAMILIES)
    some = ", ".join(map(files.printable, list(model.arrays)[:3])) or "none"
    raise InputError(f"{path} has the arrays of no encoder that is known ({known}); its first: {some}")


def is_model(path: Path) -> bool:
    """Return whether a folder is a model's, as the hub lays it out."""
    return any((path / name).is_file() for name in weights.FILES)


def _found(name: str) -> Found:
    return next(Found(family, family.NAMES[name]) for family in FAMILIES if name in family.NAMES)


def _saved(name: str, family: Any, model: Model, data: str = "") -> SavedEncoder:
    """Convert a model's arrays, and check that they are all of those of the encoder that they describe."""
    try:
        converted = family.convert(model)
        params, stats = _checked(converted.encoder, converted.preparation.shape, converted.params, converted.stats)
    except (AttributeError, KeyError, ValueError, IndexError, TypeError, InputError) as error:
        reason = files.line(str(error)) if not isinstance(error, KeyError) else f"it lacks {error}"
        raise InputError(f"{files.printable(model.path)} is not {family.TITLE}: {reason}") from error
    config = {
        "data": {"name": data or family.TITLE},
        "encoder": converted.encoder,
        "objective": {"name": "published"},
        "train": {"dtype": "float32"},
        "evaluate": {"distance": "cosine"},
    }
    fingerprint = encoder_file.fingerprint(params, stats)
    return SavedEncoder(name, config, converted.preparation, fingerprint, params, stats)


def _checked(section: Mapping[str, Any], shape: tuple[int, int, int], params: Arrays, stats: Arrays) -> Any:
    """Return parameters and statistics as float32, nested; ValueError unless names and shapes are the encoder's."""
    module = encoders.make(section)
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    made = jax.eval_shape(lambda key, images: module.init(key, images, train=False), jax.random.key(0), image)
    trees = []
    for kind, given in (("params", params), ("batch_stats", stats)):
        wanted = {
            "/".join(key.key for key in path): leaf.shape
            for path, leaf in jax.tree.leaves_with_path(made.get(kind, {}))
        }
        got = {name: array.shape for name, array in given.items()}
        for name in sorted(wanted.keys() | got.keys()):
            if wanted.get(name) != got.get(name):
                raise ValueError(f"{name} must be {wanted.get(name, 'absent')}, got {got.get(name, 'none')}")
        trees.append(_nested(given))
    return trees


def _nested(flat: Arrays) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, array in flat.items():
        *folders, last = name.split("/")
        node = tree
        for each in folders:
            node = node.setdefault(each, {})
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        node[last] = np.ascontiguousarray(array, np.float32)
    return tree
