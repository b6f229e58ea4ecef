"""A frozen encoder: images of any kind in, embeddings out; no dataset, objective or checkpoint is needed."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, UInt8
from PIL import Image

from jaxembed import encoders, mesh, model, options, pictures
from jaxembed.errors import Diverged, InputError
from jaxembed.kernels import pairs, rows
from jaxembed.pictures import Pixels
from jaxembed.runs import encoder as stored
from jaxembed.runs import identity, workdir

# Images embedded at a time.
CHUNK = 256
WEIGHTS = Path(__file__).parent / "weights"
Picture = str | os.PathLike | Image.Image | np.ndarray


class FrozenEncoder:
    """Embeds images as a run learned to.

    Attributes:
      name: of the run.
      shape: of the images it takes; others are resized and cropped to it.
      dimension: d, numbers in an embedding.
      distance: "cosine" or "euclidean", by which its embeddings are compared.
      stored: its file's content.
    """

    def __init__(self, encoder: stored.Encoder) -> None:
        """Make the encoder's module and put its parameters on the devices; InputError if they do not fit."""
        config = identity.current(encoder.config)
        self.name, self.shape, self.stored = encoder.name, encoder.shape, encoder
        self.distance = config["evaluate"]["distance"]
        self.module = encoders.make(_tuples(config["encoder"]))
        self.dtype = config["train"]["dtype"]
        self.devices = mesh.make()
        weights = {"params": encoder.params, "batch_stats": encoder.stats}
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), weights)
        self.weights = mesh.replicate(self.devices, weights)
        images = jnp.zeros((self.devices.size, *self.shape), jnp.uint8)
        try:
            self.dimension = jax.eval_shape(partial(_apply, *self._parts), images).shape[1]
        except Exception as error:  # Flax has an error for each way in which parameters do not fit
            raise InputError(f"the parameters of {self.name} do not fit its config: {error}") from error

    def embed(self, images: Picture | Sequence[Picture]) -> Float[np.ndarray, "n d"]:
        """Embed images of any size and number, on the device in batches.

        Args:
          images: uint8 [n, h, w, c] with 1, 3 or 4 channels; or a sequence of paths, PIL images and uint8 arrays
            [h, w, c]; or one of them. They are brought to `shape` as pictures in training were: upright, on white
            where they are transparent, resized and cropped.

        Returns:
          [n, d] float32.

        Raises:
          InputError: if an image cannot be read, or is not uint8 with 1, 3 or 4 channels.
          Diverged: if an embedding is not finite.
        """
        if isinstance(images, str | os.PathLike | Image.Image) or (
            isinstance(images, np.ndarray) and images.ndim == 3
        ):
            images = [images]
        embedded = [self.embed_pixels(chunk) for chunk in self._pixels(images)]
        return np.concatenate(embedded) if embedded else np.zeros((0, self.dimension), np.float32)

    def embed_pixels(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Embed n >= 1 images that have the encoder's shape."""
        # Powers of two: at most a few sizes are compiled, whatever the number of images.
        size = min(CHUNK, 1 << (len(images) - 1).bit_length())
        size = -(-size // self.devices.size) * self.devices.size
        embeddings = rows.chunked(partial(_embed, *self._parts), images, size=size)
        if not pairs.is_usable(embeddings).all():
            raise Diverged(f"{self.name} gives embeddings that are not finite, or beyond {pairs.LARGEST:g}")
        return embeddings

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.module, self.dtype, self.devices, self.weights

    def _pixels(self, images: Iterable[Picture]) -> Iterator[UInt8[np.ndarray, "n h w c"]]:
        """Bring images to the encoder's shape, a few hundred at a time."""
        images = iter(images)
        while chunk := list(itertools.islice(images, CHUNK)):
            yield np.stack([self.pixels(image) for image in chunk])

    def pixels(self, image: Picture) -> Pixels:
        """Bring one image to the encoder's shape; InputError as in `embed`."""
        if isinstance(image, str | os.PathLike):
            return pictures.read(Path(image), self.shape)
        if isinstance(image, Image.Image):
            return pictures.fit(image, self.shape)
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            got = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"an image must be a path, a PIL image or a uint8 array [h, w, c], got {got}")
        if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
            raise InputError(f"an array of an image must be [h, w, c] with c 1, 3 or 4, got {list(image.shape)}")
        return image if image.shape == self.shape else pictures.fit(pictures.array(image), self.shape)


def load(run: str | os.PathLike) -> FrozenEncoder:
    """Load the frozen encoder of a finished run, or a published one.

    Args:
      run: a run's folder, an encoder's file, or one of `published()`.

    Raises:
      InputError: if there is no such run, it is not finished, or the file is damaged.
    """
    path = Path(run).expanduser()
    if path.is_dir():
        file = path / stored.FILE
        if not (path / workdir.CONFIG).exists() and not file.exists():
            raise InputError(f"{path} is not a run's folder: it has no {workdir.CONFIG}")
        if not file.exists():
            is_finished = (path / workdir.RESULT).exists()
            lacking = (
                f"has no {stored.FILE}; launch.py --evaluate writes it"
                if is_finished
                else "holds an unfinished run"
            )
            raise InputError(f"{path} {lacking}")
    elif path.exists():
        file = path
    elif str(run) in published():
        file = WEIGHTS / f"{run}.safetensors"
    else:
        known = published()
        near = options.nearest(str(run), known)
        raise InputError(
            f"there is no run {path}, and no published encoder of that name{near}; there is: {', '.join(known)}"
        )
    return FrozenEncoder(stored.read(file))


def published() -> tuple[str, ...]:
    """List the names of the published encoders, which are part of the package."""
    return tuple(sorted(file.stem for file in WEIGHTS.glob("*.safetensors")))


def _tuples(section: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, which options are."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}


def _apply(module: nn.Module, dtype: str, devices: Any, weights: Any, raw: Array) -> Float[Array, "n d"]:
    images = mesh.split(devices, model.pixels(raw)).astype(dtype)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), weights["params"])
    embeddings = module.apply(weights | {"params": params}, images, train=False)
    return mesh.whole(devices, embeddings.astype(jnp.float32))


_embed = mesh.compiled(_apply, static_argnums=(0, 1, 2))
