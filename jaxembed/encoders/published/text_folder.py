"""A model folder with a text tower, laid out as on the hub by open_clip or by transformers."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import byte_pairs, text_tower
from jaxembed.encoders.published.byte_pairs import Tokenizer
from jaxembed.encoders.published.text_tower import Tower

# The options that open_clip gives a text tower like CLIP's; another one has others.
_OPEN_CLIP = {"context_length", "vocab_size", "width", "heads", "layers"}
_GELU = {"quick_gelu": "quick", "gelu": "exact"}


class TextSide(NamedTuple):
    """A text tower, its parameters, and the tokenizer that belongs to it."""

    tower: Tower
    params: dict[str, Any]
    tokenizer: Tokenizer


class Described(NamedTuple):
    """What a config says of a text tower that its arrays do not."""

    heads: int
    layers: int
    gelu: str


class Layout(NamedTuple):
    """How a library lays out a model folder.

    Attributes:
      config: the config's file.
      weights: the weights' file.
      prefixes: the beginnings of the names of the text tower's arrays.
      mark: an array that only a text tower has.
      describe: reads the config.
      convert: maps the arrays to the parameters.
    """

    config: str
    weights: str
    prefixes: tuple[str, ...]
    mark: str
    describe: Callable[[Mapping[str, Any]], Described]
    convert: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]


def has_text(folder: Path) -> bool:
    """Return whether a model folder has the weights of a text tower; InputError if they are damaged."""
    return _layout(folder) is not None


def read(folder: Path) -> TextSide:
    """Read the text side of a model folder.

    Raises:
      InputError: if it has none, a file is missing or damaged, or the files do not belong together.
    """
    if (layout := _layout(folder)) is None:
        weights = " or ".join(each.weights for each in LAYOUTS)
        raise InputError(f"{folder} has no text tower: no {weights} that contains one")
    tokenizer, config, weights = byte_pairs.Tokenizer(folder), folder / layout.config, folder / layout.weights
    try:
        described = layout.describe(files.read_json(config))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{config} does not describe CLIP's text tower: {files.line(repr(error))}") from error
    try:
        params = layout.convert(_arrays(weights, layout.prefixes))
    except KeyError as error:
        raise InputError(f"{weights} does not contain CLIP's text tower: it lacks {error}") from error
    tower = _fitting(described, params, weights)
    if tokenizer.end >= tower.vocabulary:
        numbers = f"{tokenizer.end + 1:,} tokens and the text tower {tower.vocabulary:,}"
        raise InputError(f"{folder} has files that do not belong together: the tokenizer has {numbers}")
    return TextSide(tower, params, tokenizer)


def _layout(folder: Path) -> Layout | None:
    """Return the layout of a folder's text tower, None if it has none."""
    return next((each for each in LAYOUTS if _has(folder / each.weights, each.mark)), None)


def _has(weights: Path, name: str) -> bool:
    """Return whether there is such a file with an array of this name."""
    if not weights.exists():
        return False
    with _opened(weights) as tensors:
        return name in tensors.keys()  # noqa: SIM118  it is no mapping


def _arrays(weights: Path, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read the floating-point arrays whose names begin with one of the prefixes, as float32."""
    with _opened(weights) as tensors:
        arrays = {name: tensors.get_tensor(name) for name in tensors.keys() if name.startswith(prefixes)}  # noqa: SIM118
    return {name: array.astype(np.float32) for name, array in arrays.items() if array.dtype.kind not in "iu"}


@contextlib.contextmanager
def _opened(weights: Path) -> Iterator[Any]:
    """Open a file of arrays; InputError if it is damaged."""
    try:
        with safetensors.safe_open(files.regular(weights), "numpy") as tensors:
            yield tensors
    except Exception as error:  # from safetensors, or the file cannot be read
        raise InputError(f"{weights} is damaged, or cannot be read: {files.line(str(error))}") from error


def _open_clip(record: Mapping[str, Any]) -> Described:
    """Read what open_clip's config says."""
    model = record["model_cfg"]
    text = model["text_cfg"]
    if other := sorted(text.keys() - _OPEN_CLIP):
        raise ValueError(f"it has {', '.join(other)}")
    gelu = "quick" if model.get("quick_gelu", False) else "exact"
    return Described(text.get("heads", 8), text.get("layers", 12), gelu)


def _transformers(record: Mapping[str, Any]) -> Described:
    """Read what transformers' config says; what it leaves out has the library's default."""
    text = record["text_config"]
    if text.get("layer_norm_eps", text_tower.EPSILON) != text_tower.EPSILON:
        raise ValueError(f"layer_norm_eps must be {text_tower.EPSILON:g}")
    gelu = _GELU[text.get("hidden_act", "quick_gelu")]
    return Described(text.get("num_attention_heads", 8), text.get("num_hidden_layers", 12), gelu)


def _fitting(described: Described, params: Mapping[str, Any], weights: Path) -> Tower:
    """Make the tower that has these parameters; InputError if they do not fit what the config says."""
    got, blocks = _shapes(params), sum(name.startswith("block") for name in params)
    if described.layers != blocks:
        raise InputError(f"{weights} does not fit its config: it must have {described.layers} layers, got {blocks}")
    try:
        (vocabulary, width), (context, _) = params["tokens"]["embedding"].shape, params["positions"].shape
        sizes = {"vocabulary": vocabulary, "context": context, "width": width}
        tower = Tower(**sizes, dimension=params["projection"]["kernel"].shape[1], **described._asdict())
        text = jax.ShapeDtypeStruct((1, 2), np.int32)
        wanted = _shapes(jax.eval_shape(tower.init, jax.random.key(0), text)["params"])
    except Exception as error:  # Flax and JAX raise a different error for each kind of mismatch
        raise InputError(f"{weights} does not fit its config: {files.line(str(error))}") from error
    for name in sorted(wanted | got):
        if wanted.get(name) != got.get(name):
            shapes = f"must be {wanted.get(name, 'left out')}, got {got.get(name, 'nothing')}"
            raise InputError(f"{weights} does not fit its config: {name} {shapes}")
    return tower


def _shapes(params: Any) -> dict[str, list[int]]:
    """List the shapes of parameters by the names of their layers."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): list(leaf.shape) for path, leaf in leaves}


LAYOUTS = (
    Layout(
        "open_clip_config.json",
        "open_clip_model.safetensors",
        ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection"),
        "token_embedding.weight",
        _open_clip,
        text_tower.from_open_clip,
    ),
    Layout(
        "config.json",
        "model.safetensors",
        ("text_model.", "text_projection."),
        "text_model.embeddings.token_embedding.weight",
        _transformers,
        text_tower.from_transformers,
    ),
)
