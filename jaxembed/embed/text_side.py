"""The text side of an encoder: texts in, embeddings in the space of its image embeddings out."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tqdm
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxembed.core import files
from jaxembed.core.errors import Diverged, InputError
from jaxembed.devices import mesh
from jaxembed.encoders.published import clip_text
from jaxembed.encoders.published.text_tower import Tower
from jaxembed.kernels import chunked, compiler, space

# Texts per batch, and tokens of a text unless it is longer, so that few shapes are ever compiled.
SIZES, LENGTHS = (1, 8, 64), (16, 32)
# Texts that are named of those that are too long, and letters of each.
_SHOWN, _LETTERS = 3, 40


class TextEncoder:
    """Embeds texts with the text tower of a model folder."""

    def __init__(self, folder: Path, devices: Mesh, dimension: int) -> None:
        """Read the folder, and put the parameters on the devices; InputError unless d is the image embedding's."""
        self.tower, params, self.tokenizer = clip_text.read(folder)
        if self.tower.projection != dimension:
            raise InputError(
                f"{folder} embeds texts in {self.tower.projection} dimensions, but images in {dimension}"
            )
        self.folder, self.devices, self.params = folder, devices, mesh.replicate(devices, params)

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embed n texts, as `FrozenEncoder.embed_text` does."""
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"a text must have at least one letter, got {text!r}")
        if not texts:
            return np.zeros((0, self.tower.projection), np.float32)
        tokens, long = self.tokenizer.encode(texts, self.tower.context)
        if long:
            tqdm.tqdm.write(_long_line(long, self.tower.context), file=sys.stderr)
        embeddings = self._embed_tokens(tokens)
        if not space.is_usable(embeddings).all():
            raise Diverged(f"{self.folder} produced embeddings of texts that are not finite, or are too large")
        return embeddings

    def _embed_tokens(self, tokens: Int[np.ndarray, "n t"]) -> Float[np.ndarray, "n d"]:
        """Embed tokens in batches of one length, with zeros at the end, which have no influence."""
        n, longest = tokens.shape
        length = next((each for each in LENGTHS if longest <= each < self.tower.context), self.tower.context)
        size = next((each for each in SIZES if n <= each), SIZES[-1])
        size = -(-size // self.devices.size) * self.devices.size
        padded = np.pad(tokens, ((0, 0), (0, length - longest)))
        return chunked.apply(partial(_embed, self.tower, self.devices, self.params), padded, size=size)


def _long_line(long: Sequence[str], context: int) -> str:
    """Write a one-line warning that names the texts that are cut off, or the first and how many more there are."""
    shown = ", ".join(f'"{files.printable(text[:_LETTERS])}…"' for text in long[:_SHOWN])
    more = f" and {len(long) - _SHOWN} more" if len(long) > _SHOWN else ""
    return f"cut off after {context - 2} tokens: {shown}{more}"


def _apply(tower: Tower, devices: Mesh, params: Any, tokens: Int[Array, "n t"]) -> Float[Array, "n d"]:
    return mesh.whole(devices, tower.apply({"params": params}, mesh.split(devices, tokens)).astype(jnp.float32))


_embed = compiler.compiled(_apply, static_argnums=(0, 1))
