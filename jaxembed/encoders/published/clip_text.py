"""The text side of a CLIP in a model folder: its tower, from the arrays of either library, and its tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.encoders.published import layouts, weights
from jaxembed.encoders.published.byte_pairs import Tokenizer
from jaxembed.encoders.published.layouts import Layout
from jaxembed.encoders.published.text_tower import EPSILON, Tower
from jaxembed.encoders.published.weights import Arrays, Model

OPEN_CLIP = layouts.OPEN_CLIP._replace(
    token="token_embedding.weight",
    positions="positional_embedding",
    norm="ln_final",
    projection="text_projection",
    block="transformer.resblocks.{}.",
)
TRANSFORMERS = layouts.CLIP._replace(
    token="text_model.embeddings.token_embedding.weight",
    positions="text_model.embeddings.position_embedding.weight",
    norm="text_model.final_layer_norm",
    projection="text_projection",
    block="text_model.encoder.layers.{}.",
)
# The options that open_clip gives a text tower like CLIP's; another kind has others.
_KNOWN = {"context_length", "vocab_size", "width", "heads", "layers"}


class TextSide(NamedTuple):
    """A text tower, its parameters, and the tokenizer that belongs to it."""

    tower: Tower
    params: dict[str, Any]
    tokenizer: Tokenizer


def layout(arrays: Arrays) -> Layout | None:
    """Return how the arrays of a text tower are named; None if there is none."""
    return next((each for each in (OPEN_CLIP, TRANSFORMERS) if each.token in arrays), None)


def read(folder: Path) -> TextSide:
    """Read the text side of a model folder.

    Raises:
      InputError: if it has none, a file is missing or damaged, or the files do not belong together.
    """
    tokenizer, model = Tokenizer(folder), weights.of_folder(folder)
    try:
        tower, params = convert(model)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        reason = files.line(str(error)) if not isinstance(error, KeyError) else f"it lacks {error}"
        raise InputError(f"{files.printable(folder)} has no text tower of CLIP's: {reason}") from error
    if tokenizer.end >= tower.vocabulary:
        numbers = f"the tokenizer has {tokenizer.end + 1:,} tokens and the text tower {tower.vocabulary:,}"
        raise InputError(f"{files.printable(folder)} has files that do not belong together: {numbers}")
    return TextSide(tower, params, tokenizer)


def convert(model: Model) -> tuple[Tower, dict[str, Any]]:
    """Convert the arrays of a text tower: (the tower, its parameters).

    Raises:
      KeyError: naming an array that is missing.
      ValueError: if the arrays do not fit each other, or the config.
    """
    if (found := layout(model.arrays)) is None:
        raise KeyError(OPEN_CLIP.token)
    taken = layouts.Taken(model.arrays)
    params = {"tokens/embedding": taken[found.token], "positions": taken[found.positions]}
    params |= layouts.end(taken, found)
    (vocabulary, width), (context, _) = params["tokens/embedding"].shape, params["positions"].shape
    depth = layouts.depth(model.arrays, found)
    options = {"heads": max(1, width // layouts.HEAD), "depth": depth, "activation": "quick_gelu"}
    options |= _open_clip(model) if found.is_open_clip else _transformers(model)
    if options["depth"] != depth:
        raise ValueError(f"it must have {options['depth']} layers, got {depth}")
    if not width or type(options["heads"]) is not int or options["heads"] < 1 or width % options["heads"]:
        raise ValueError(f"the number of heads must divide the width, {width}, got {options['heads']}")
    projection = params["projection/kernel"].shape[1]
    tower = Tower(vocabulary, context, width, projection=projection, **options)
    text = jax.ShapeDtypeStruct((1, 2), np.int32)
    return tower, weights.fitted(jax.eval_shape(tower.init, jax.random.key(0), text)["params"], params)


def _open_clip(model: Model) -> dict[str, Any]:
    """Return the options of the tower that open_clip's config states; without one it is as OpenAI's."""
    stated = model.configs.get("open_clip_config.json", {}).get("model_cfg")
    if stated is None:
        return {}
    text = stated["text_cfg"]
    if other := sorted(text.keys() - _KNOWN):
        raise ValueError(f"its config has {', '.join(other)}, which CLIP's does not")
    activation = {"activation": "quick_gelu" if stated.get("quick_gelu") else "gelu"}
    return activation | _stated(text, heads="heads", depth="layers")


def _transformers(model: Model) -> dict[str, Any]:
    """Return the options of the tower that transformers' config states."""
    text = model.configs.get("config.json", {}).get("text_config", {})
    if text.get("layer_norm_eps", EPSILON) != EPSILON:
        raise ValueError(f"layer_norm_eps must be {EPSILON:g}, got {text['layer_norm_eps']}")
    if text.get("hidden_act", "quick_gelu") not in ("quick_gelu", "gelu"):
        raise ValueError(f"hidden_act must be quick_gelu or gelu, got {text['hidden_act']}")
    return _stated(text, heads="num_attention_heads", depth="num_hidden_layers", activation="hidden_act")


def _stated(text: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Take what a config states, by its names for our options."""
    return {ours: text[theirs] for ours, theirs in names.items() if theirs in text}
