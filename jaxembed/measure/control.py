"""A control: a dataset turned into vectors by what an embedding has to beat, measured with the protocol's views."""

import ast
import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxembed import controls, datasets, model
from jaxembed.artifacts import finished, identity
from jaxembed.controls import Embed
from jaxembed.core import files
from jaxembed.core.errors import InputError, OutOfMemory
from jaxembed.core.keys import Key
from jaxembed.embed import sources
from jaxembed.evaluate.evaluation import Viewed
from jaxembed.kernels import chunked, compiler
from jaxembed.measure import embedded, reference
from jaxembed.measure.embedded import Embedded
from jaxembed.pictures import Preparation, Shape
from jaxembed.run import checks, memory, protocol
from jaxembed.run.protocol import Protocol
from jaxembed.types import Augment, Dataset

# The height and width that pictures of a folder get, in colour, where --like is no run on a folder: as in
# configs/*_folder.py.
SIDE = 32
# Images that views are made of at a time.
CHUNK = 1000


def make(asked: Any, more: Sequence[str]) -> Embedded:
    """Fit a control to the train images of a dataset, and embed it.

    Args:
      asked: the command's arguments.
      more: those that it does not know: options of the control, `--<name>=<value>`.

    Raises:
      InputError: if the control cannot have the options, there is no such dataset, or its images do not fit.
      OutOfMemory: if there is not enough memory for the vectors.
    """
    name, like = asked.vectors, reference.config(asked.like)
    section = controls.section(name, _of_run(name, like) | parsed(more))
    seed, validation = embedded.divided(asked, like)
    data = _data(asked, like) | {"validation": validation}
    evaluate = embedded.with_distance(like.get("evaluate", embedded.PROTOCOL), asked.distance)
    measured = protocol.make(identity.with_tuples(evaluate))
    dataset = datasets.load(data, data_dir=asked.data_dir, seed=seed)
    vectors = _vectors(section, dataset, measured, seed)
    digest = hashlib.sha256()
    for points in vectors.by_split.values():
        digest.update(points)
    config = {
        "data": data,
        "encoder": section,
        "objective": {"name": finished.CONTROL},
        "train": {},
        "evaluate": evaluate,
        "seed": seed,
        "name": name,
    }
    return Embedded(dataset, vectors, config, digest.hexdigest(), None)


def parsed(more: Sequence[str]) -> dict[str, Any]:
    """Read options, `--<name>=<value>` or `--<name> <value>`, whose values are Python's or texts."""
    given, rest = {}, list(more)
    while rest:
        flag = rest.pop(0)
        key, equals, text = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or not key or not (equals or rest):
            raise InputError(f"unrecognized arguments: {flag}; --help shows the arguments")
        text = text if equals else rest.pop(0)
        try:
            given[key.replace("-", "_")] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            given[key.replace("-", "_")] = text
    return given


def _vectors(section: Mapping[str, Any], dataset: Dataset, measured: Protocol, seed: int) -> Viewed:
    """Fit a control and embed all splits; OutOfMemory if that, or the probes, need more memory than there is."""
    images = dataset.train.images
    try:
        fitted = controls.fit(section, images, seed=seed)
        row = jax.ShapeDtypeStruct(fitted(images[:1]).shape, np.float32)
        memory.check_rows(len(images), row.shape[1], what=section["name"])
        checks.check_probes(measured, dataset, row)
        return Viewed(partial(_embed, fitted, measured.augmentation), measured, dataset, dataset.held_out)
    except MemoryError as error:
        raise OutOfMemory(f"out of memory for {section['name']}: {files.line(str(error))}") from error


def _of_run(name: str, like: Mapping[str, Any]) -> dict[str, Any]:
    """Take the options that only a run has, from that of --like."""
    if not (needed := controls.needed(name)):
        return {}
    if not like:
        raise InputError(f"{name} needs --like=RUN, or a config file: whose {needed[0]} it is")
    run = {"encoder": like["encoder"], "dtype": like["train"]["dtype"]}
    return {option: run[option] for option in needed}


def _data(asked: Any, like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config.data of --dataset: that of --like where they are the same, or none is asked for."""
    own = like.get("data", {})
    if asked.dataset is None and not own:
        raise InputError(
            f"{asked.vectors} is a control: --dataset=DATASET or --like=RUN must say what it is measured on"
        )
    if asked.dataset in (None, own.get("name")):
        return dict(own)
    path = files.expanded(asked.dataset)
    if own.get("path") and os.path.realpath(path) == os.path.realpath(files.expanded(own["path"])):
        return dict(own)
    side = own.get("size", SIDE)
    data = sources.section(asked.dataset, Preparation(Shape(side, side, own.get("channels", 3))))
    return data | ({"path": os.path.realpath(path)} if "path" in data else {})


def _embed(
    control: Embed, augmentation: Augment | None, images: UInt8[np.ndarray, "n h w c"], *, key: Key | None = None
) -> Float[np.ndarray, "n d"]:
    """Embed images by a control or, with a key, a view of each, which has 8 bits a channel as they have."""
    if key is not None:
        rows = images, jax.random.split(key, len(images))
        images = chunked.apply(partial(_views, augmentation), rows, size=min(CHUNK, len(images)))
    return control(images)


@partial(compiler.compiled, static_argnums=0)
def _views(augmentation: Augment, given: tuple[UInt8[Array, "n h w c"], Key]) -> UInt8[Array, "n h w c"]:
    raw, keys = given
    views = jax.vmap(augmentation)(keys, model.pixels(raw))
    return jnp.rint(255 * jnp.clip(views, 0, 1)).astype(jnp.uint8)
