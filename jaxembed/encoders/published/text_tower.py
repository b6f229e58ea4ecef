"""CLIP's text tower: tokens -> the space of the images; and its parameters from the files of two libraries."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

EPSILON = 1e-5
# The names in transformers' files, as patterns, and those of the same arrays in open_clip's.
_RENAMED = {
    r"^text_model\.": "",
    r"^embeddings\.token_embedding\.": "token_embedding.",
    r"^embeddings\.position_embedding\.weight$": "positional_embedding",
    r"^final_layer_norm\.": "ln_final.",
    r"^encoder\.layers\.": "transformer.resblocks.",
    r"\.layer_norm(\d)\.": r".ln_\1.",
    r"\.self_attn\.": ".attn.",
    r"\.mlp\.fc1\.": ".mlp.c_fc.",
    r"\.mlp\.fc2\.": ".mlp.c_proj.",
}


class Tower(nn.Module):
    """Token and position embeddings, causal pre-LN transformer, and a projection of the end-of-text token's row.

    Of ViT-B/32 and ViT-B/16, both with 49,408 tokens: 63,428,096 parameters.
    Source: Radford et al. 2021, arXiv:2103.00020, section 2.4, and the code published with it.

    Attributes:
      vocabulary: how many tokens there are; the end-of-text token must have the highest number of a text.
      context: the largest number of tokens of a text.
      width: channels, a multiple of `heads`.
      heads: attention heads.
      layers: how many blocks.
      dimension: d, that of the embedding.
      gelu: "quick", x · sigmoid(1.702 x), as in OpenAI's weights; or "exact", by erf.
    """

    vocabulary: int
    context: int
    width: int
    heads: int
    layers: int
    dimension: int
    gelu: Literal["quick", "exact"]

    @nn.compact
    def __call__(self, tokens: Int[Array, "n t"]) -> Float[Array, "n d"]:
        """Embed n texts of t <= context tokens; what follows the end-of-text token has no influence."""
        positions = self.param("positions", nn.initializers.normal(0.01), (self.context, self.width))
        x = nn.Embed(self.vocabulary, self.width, name="tokens")(tokens) + positions[None, : tokens.shape[1]]
        for layer in range(self.layers):
            x = Block(self.heads, self.gelu, name=f"block{layer}")(x)
        ends = x[jnp.arange(len(tokens)), jnp.argmax(tokens, axis=1)]
        return nn.Dense(self.dimension, use_bias=False, name="projection")(_norm("norm")(ends))


class Block(nn.Module):
    """Causal self-attention and an MLP four times as wide, each after a LayerNorm and added to its input."""

    heads: int
    gelu: str

    @nn.compact
    def __call__(self, x: Float[Array, "n t w"]) -> Float[Array, "n t w"]:
        """Map n texts of t tokens."""
        n, t, width = x.shape
        rows = nn.Dense(3 * width, name="qkv")(_norm("norm1")(x)).reshape(n, t, 3, self.heads, -1)
        attended = jax.nn.dot_product_attention(*jnp.moveaxis(rows, 2, 0), is_causal=True)
        x = x + nn.Dense(width, name="out")(attended.reshape(x.shape))
        hidden = nn.Dense(4 * width, name="fc1")(_norm("norm2")(x))
        hidden = nn.gelu(hidden, approximate=False) if self.gelu == "exact" else hidden * nn.sigmoid(1.702 * hidden)
        return x + nn.Dense(width, name="fc2")(hidden)


def from_open_clip(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Map the arrays of an open_clip file, which may hold others, to the parameters of `Tower`.

    Raises:
      KeyError: with the name of an array that is missing.
    """
    blocks = {int(found[1]) for name in arrays if (found := re.match(r"transformer\.resblocks\.(\d+)\.", name))}
    tree = {f"block{layer}": _block(arrays, f"transformer.resblocks.{layer}.") for layer in range(len(blocks))}
    return tree | {
        "tokens": {"embedding": arrays["token_embedding.weight"]},
        "positions": arrays["positional_embedding"],
        "norm": _scaled(arrays, "ln_final."),
        "projection": {"kernel": arrays["text_projection"]},
    }


def from_transformers(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Map the arrays of a transformers file, as `from_open_clip` does."""
    renamed = {}
    for name, array in arrays.items():
        if name.startswith("text_model."):
            for pattern, replacement in _RENAMED.items():
                name = re.sub(pattern, replacement, name)
            renamed[name] = array
    for name in [name for name in renamed if ".attn.q_proj." in name]:
        parts = [renamed[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")]
        renamed[name.replace("q_proj.", "in_proj_")] = np.concatenate(parts)
    return from_open_clip(renamed | {"text_projection": arrays["text_projection.weight"].T})


def _norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=EPSILON, use_fast_variance=False, name=name)


def _block(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
    return {
        "norm1": _scaled(arrays, f"{prefix}ln_1."),
        "qkv": _dense(arrays, f"{prefix}attn.in_proj_"),
        "out": _dense(arrays, f"{prefix}attn.out_proj."),
        "norm2": _scaled(arrays, f"{prefix}ln_2."),
        "fc1": _dense(arrays, f"{prefix}mlp.c_fc."),
        "fc2": _dense(arrays, f"{prefix}mlp.c_proj."),
    }


def _scaled(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
    return {"scale": arrays[f"{prefix}weight"], "bias": arrays[f"{prefix}bias"]}


def _dense(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
    return {"kernel": arrays[f"{prefix}weight"].T, "bias": arrays[f"{prefix}bias"]}
