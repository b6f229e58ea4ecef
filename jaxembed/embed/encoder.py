"""An encoder in use: images in, embeddings out, whatever computes them."""

import abc
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxembed import pictures
from jaxembed.artifacts import identity
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.core.errors import Diverged, InputError
from jaxembed.encoders.published import clip
from jaxembed.kernels import space
from jaxembed.pictures import Pixels, Preparation, Shape
from jaxembed.types import Batch, Dataset

# Pictures that are converted at a time.
CHUNK = 256
Picture = str | os.PathLike | Image.Image | np.ndarray


class Encoder(abc.ABC):
    """Embeds images.

    Attributes:
      name: the encoder's name.
      preparation: how pictures become the images it takes.
      dimension: d, the number of dimensions of an embedding.
      distance: "cosine" or "euclidean", the distance by which its embeddings are compared.
      saved: what its file says of it.
    """

    name: str
    preparation: Preparation
    dimension: int
    distance: str
    saved: SavedEncoder

    def __repr__(self) -> str:
        """Say what it takes and returns."""
        shape = "×".join(map(str, self.preparation.shape))
        return f"{type(self).__name__}({self.name}: {shape} to {self.dimension} dimensions, by {self.distance})"

    @abc.abstractmethod
    def compute(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Compute the embeddings of n >= 1 images that have the encoder's shape."""

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
        """Embed n >= 1 images that already have the encoder's shape; Diverged as in `embed`."""
        embeddings = self.compute(images)
        if not space.is_usable(embeddings).all():
            raise Diverged(
                f"{self.name} produced embeddings that are not finite or exceed {space.LARGEST:g} in magnitude"
            )
        return embeddings

    @property
    def has_words(self) -> bool:
        """Whether it embeds texts also."""
        return self.saved.text is not None

    def embed_text(self, texts: str | Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embed any number of texts in the space of the images.

        Args:
          texts: a text, or a sequence of texts; a longer one than the encoder can read is cut off, with a warning.

        Returns:
          [n, d] float32.

        Raises:
          InputError: if the encoder has no text side, `tokenizers` is not installed, or a text is empty.
          Diverged: if an embedding is not finite, or too large.
        """
        raise InputError(f"{self.name} has no words; those with words: {', '.join(clip.NAMES)}")

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

    @property
    def data(self) -> dict[str, Any]:
        """Return the section config.data of the run that trained it; InputError if it was trained elsewhere."""
        data = identity.current(self.saved.config)["data"]
        if not data:
            raise InputError(f"{self.name} was not trained here: name a folder of pictures, or a dataset")
        return data

    @property
    def shape(self) -> Shape:
        """Return the shape of the images it takes."""
        return self.preparation.shape

    def _pixels(self, images: Iterable[Picture]) -> Iterator[UInt8[np.ndarray, "n h w c"]]:
        """Convert images to the encoder's shape, a few hundred at a time."""
        images = iter(images)
        while chunk := list(itertools.islice(images, CHUNK)):
            yield np.stack([self.pixels(image) for image in chunk])
