"""Frozen encoders: images in, embeddings out, without a dataset, an objective or a checkpoint."""

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

from jaxembed import encoders, model, pictures
from jaxembed.artifacts import encoder_file, identity, workdir
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core import files, options
from jaxembed.core.errors import Diverged, InputError
from jaxembed.devices import mesh
from jaxembed.encoders import published
from jaxembed.kernels import chunked, compiler, space
from jaxembed.pictures import Pixels, Shape
from jaxembed.types import Batch, Dataset

# Images per batch at most, and their pixels: later layers hold tens of times as many numbers.
CHUNK, PIXELS = 256, 2**20
WEIGHTS = Path(__file__).parent / "weights"
Picture = str | os.PathLike | Image.Image | np.ndarray


class FrozenEncoder:
    """Embeds images with a trained encoder.

    Attributes:
      name: the run's name.
      preparation: how pictures become the images it takes.
      dimension: d, the number of dimensions of an embedding.
      distance: "cosine" or "euclidean", the distance by which its embeddings are compared.
      saved: the content of its file.
    """

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

    def embed(self, images: Picture | Sequence[Picture]) -> Float[np.ndarray, "n d"]:
        """Embed any number of images of any size, in batches on the device.

        Args:
          images: uint8 [n, h, w, c] with 1, 3 or 4 channels; a sequence of paths, PIL images and uint8 arrays
            [h, w, c]; or one of these. They are converted as in training, by `pictures.to_pixels`.

        Returns:
          [n, d] float32.

        Raises:
          InputError: if an image cannot be read, or is not uint8 with 1, 3 or 4 channels.
          Diverged: if an embedding is not finite, or too large.
        """
        if isinstance(images, str | os.PathLike | Image.Image) or (
            isinstance(images, np.ndarray) and images.ndim == 3
        ):
            images = [images]
        embedded = [self.embed_pixels(chunk) for chunk in self._pixels(images)]
        return np.concatenate(embedded) if embedded else np.zeros((0, self.dimension), np.float32)

    def embed_pixels(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Embed n >= 1 images that already have the encoder's shape."""
        # Powers of two, so that only a few batch sizes are ever compiled.
        size = min(self.chunk, 1 << (len(images) - 1).bit_length())
        size = -(-size // self.devices.size) * self.devices.size
        embeddings = chunked.apply(partial(_embed, *self._parts), images, size=size)
        if not space.is_usable(embeddings).all():
            raise Diverged(
                f"{self.name} produced embeddings that are not finite or exceed {space.LARGEST:g} in magnitude"
            )
        return embeddings

    def convert(self, dataset: Dataset) -> Dataset:
        """Convert a dataset's images to the encoder's shape by `pictures.to_pixels`, unless they have it."""
        splits = {}
        for split in ("train", *dataset.held_out):
            images, labels = getattr(dataset, split)
            if images.shape[1:] != self.shape:
                images = np.concatenate([*self._pixels(images[row] for row in range(len(labels)))])
            splits[split] = Batch(images, labels)
        return dataset._replace(**splits)

    def embed_splits(self, dataset: Dataset) -> dict[str, Float[np.ndarray, "n d"]]:
        """Embed all splits of a dataset whose images have the encoder's shape: split -> [n, d]."""
        return {split: self.embed_pixels(getattr(dataset, split).images) for split in ("train", *dataset.held_out)}

    @property
    def shape(self) -> Shape:
        """Return the shape of the images it takes."""
        return self.preparation.shape

    @property
    def chunk(self) -> int:
        """Return the number of images in a batch, a power of two."""
        fitting = max(1, PIXELS // (self.shape.height * self.shape.width))
        return min(CHUNK, 1 << (fitting.bit_length() - 1))

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.module, self.dtype, self.devices, self.weights

    def _pixels(self, images: Iterable[Picture]) -> Iterator[UInt8[np.ndarray, "n h w c"]]:
        """Convert images to the encoder's shape, a few hundred at a time."""
        images = iter(images)
        while chunk := list(itertools.islice(images, CHUNK)):
            yield np.stack([self.pixels(image) for image in chunk])

    def pixels(self, image: Picture) -> Pixels:
        """Convert one image to the encoder's shape; InputError as in `embed`."""
        if isinstance(image, str | os.PathLike):
            return pictures.read(Path(image), self.preparation)
        if isinstance(image, Image.Image):
            return pictures.to_pixels(image, self.preparation)
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            got = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"an image must be a path, a PIL image or a uint8 array [h, w, c], got {got}")
        if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
            raise InputError(f"an image array must be [h, w, c] with 1, 3 or 4 channels, got {list(image.shape)}")
        if image.shape == self.shape:
            return image
        return pictures.to_pixels(pictures.from_array(image), self.preparation)


def load(run: str | os.PathLike) -> FrozenEncoder:
    """Load the encoder of a finished run, or a pretrained encoder.

    Args:
      run: a run folder, an encoder .safetensors file, one of the names in `pretrained()`, or a published model's
        .safetensors file or folder as the Hugging Face hub lays it out.

    Raises:
      InputError: if nothing has this name, the run is unfinished, the file is damaged, or JAX finds no device.
    """
    mesh.check_devices()
    return FrozenEncoder(saved(run))


def saved(run: str | os.PathLike) -> SavedEncoder:
    """Read the file of an encoder, which `load` would load; InputError as there."""
    path, name = files.expanded(run), str(run)
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
