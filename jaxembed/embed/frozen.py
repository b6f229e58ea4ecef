"""Frozen encoders: images or texts in, embeddings out, without a dataset, an objective or a checkpoint."""

import argparse
import functools
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from jaxembed import encoders, model
from jaxembed.artifacts import encoder_file, identity, workdir
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files, options
from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.embed import onnx
from jaxembed.embed.encoder import Encoder
from jaxembed.embed.onnx import Asked
from jaxembed.embed.onnx.encoder import OnnxEncoder
from jaxembed.embed.onnx.model import SUFFIX
from jaxembed.embed.text_side import TextEncoder
from jaxembed.encoders import published
from jaxembed.kernels import chunked, compiler

# Images per batch at most, and their pixels: later layers hold tens of times as many numbers.
CHUNK, PIXELS = 256, 2**20
WEIGHTS = Path(__file__).parent / "weights"


class FrozenEncoder(Encoder):
    """Embeds images with a trained encoder; `saved` is the content of its file."""

    def __init__(self, saved: SavedEncoder) -> None:
        """Build the module and put the parameters on the devices; InputError if they do not match the config."""
        config = identity.current(saved.config)
        self.name, self.preparation, self.saved = saved.name, saved.preparation, saved
        self.distance = config["evaluate"]["distance"]
        self.module = encoders.make(identity.with_tuples(config["encoder"]))
        self.dtype = config["train"]["dtype"]
        self.devices = mesh.make()
        weights = {"params": saved.params, "batch_stats": saved.stats}
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), weights)
        self.weights = mesh.replicate(self.devices, weights)
        images = jax.ShapeDtypeStruct((self.devices.size, *self.shape), jnp.uint8)
        try:
            self.dimension = jax.eval_shape(partial(_apply, *self._parts), images).shape[1]
        except Exception as error:  # Flax raises a different error for each kind of mismatch
            raise InputError(f"the parameters of {self.name} do not match its config: {error}") from error

    def embed_text(self, texts: str | Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embed any number of texts, as `Encoder.embed_text` does."""
        if not self.has_words:
            return super().embed_text(texts)
        return self._text_side.embed([texts] if isinstance(texts, str) else list(texts))

    @functools.cached_property
    def _text_side(self) -> TextEncoder:
        """Read the text side when it is first used."""
        return TextEncoder(self.saved.text, self.devices, self.dimension)

    def compute(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Embed n >= 1 images that already have the encoder's shape."""
        # Powers of two, so that only a few batch sizes are ever compiled.
        size = min(self.chunk, 1 << (len(images) - 1).bit_length())
        size = -(-size // self.devices.size) * self.devices.size
        return chunked.apply(partial(_embed, *self._parts), images, size=size)

    @property
    def chunk(self) -> int:
        """Return the number of images in a batch, a power of two."""
        fitting = max(1, PIXELS // (self.shape.height * self.shape.width))
        return min(CHUNK, 1 << (fitting.bit_length() - 1))

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.module, self.dtype, self.devices, self.weights


def load(run: str | os.PathLike, asked: Asked | None = None) -> Encoder:
    """Load the encoder of a finished run, a pretrained encoder, or an ONNX encoder.

    Args:
      run: a run folder, an encoder .safetensors file, one of the names in `pretrained()`, a published model's
        .safetensors file or folder as the Hugging Face hub lays it out, or an .onnx file.
      asked: how an ONNX encoder is used, where its file does not say it.

    Raises:
      InputError: if nothing has this name, the run is unfinished, the file is damaged, or JAX finds no device.
    """
    mesh.check_devices()
    if _is_onnx(run):
        return OnnxEncoder(files.expanded(run), asked or Asked())
    if asked:
        raise InputError(f"{asked} is for an ONNX encoder; {run} says itself how it is used")
    return FrozenEncoder(saved(run))


def of_arguments(arguments: argparse.Namespace) -> Encoder | None:
    """Load the encoder that a command's arguments name; None if they name none. InputError as in `load`."""
    asked = onnx.of_arguments(arguments)
    if arguments.run is None and asked:
        raise InputError(f"{asked} is for an ONNX encoder, and RUN is not given")
    return None if arguments.run is None else load(arguments.run, asked)


def saved(run: str | os.PathLike) -> SavedEncoder:
    """Read the file of an encoder with arrays, which `load` would load; InputError as there."""
    path, name = files.expanded(run), str(run)
    if _is_onnx(run):
        raise InputError(f"{run} is an ONNX encoder, which embeds, but has neither parameters nor a run's config")
    if path.is_dir():
        file = path / encoder_file.FILE
        if not file.exists() and published.is_model(path):
            return published.read(path)
        if not file.exists():
            raise InputError(_no_encoder(path))
        return encoder_file.read(file)
    if path.exists():
        return encoder_file.read(path) if encoder_file.is_ours(path) else published.read(path)
    if name in published.names():
        return published.load(name)
    if name in packaged():
        return encoder_file.read(WEIGHTS / f"{name}.safetensors")
    known = pretrained()
    near = options.nearest(name, known)
    raise InputError(
        f"no run folder, encoder file or pretrained encoder {run}{near}; pretrained: {', '.join(known)}"
    )


def pretrained() -> tuple[str, ...]:
    """List the names of pretrained encoders: those of the package, and published ones."""
    return tuple(sorted((*packaged(), *published.names())))


def packaged() -> tuple[str, ...]:
    """List the pretrained encoders whose files are part of the package."""
    return tuple(sorted(file.stem for file in WEIGHTS.glob("*.safetensors")))


def _is_onnx(run: str | os.PathLike) -> bool:
    path = files.expanded(run)
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def _no_encoder(folder: Path) -> str:
    """Explain why a folder has no encoder file."""
    if not (folder / workdir.CONFIG).exists():
        return f"{folder} is not a run folder: it has no {workdir.CONFIG}"
    if not (folder / workdir.RESULT).exists():
        return f"{folder} is an unfinished run; run launch.py again to finish it"
    return f"{folder} has no {encoder_file.FILE}; run launch.py with --evaluate to write it"


def _apply(module: nn.Module, dtype: str, devices: Any, weights: Any, raw: Array) -> Float[Array, "n d"]:
    images = mesh.split(devices, model.pixels(raw)).astype(dtype)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), weights["params"])
    embeddings = module.apply(weights | {"params": params}, images, train=False)
    return mesh.whole(devices, embeddings.astype(jnp.float32))


_embed = compiler.compiled(_apply, static_argnums=(0, 1, 2))
