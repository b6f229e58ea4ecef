"""The model: an encoder with its objective's head on top, and the parts that encoders and heads share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PyTree, UInt8

from jaxembed.core.errors import InputError
from jaxembed.kernels import convolution, norm
from jaxembed.kernels.norm import Maps
from jaxembed.types import Images, Outputs

# Initialises directions that rows are compared with: about 1 long, as a step turns longer ones more slowly.
directions = nn.initializers.lecun_normal(in_axis=-1, out_axis=0)


def pixels(images: UInt8[Array, "n h w c"]) -> Images:
    """Turn uint8 images [n, h, w, c] into the model's input: float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def standardised(images: Images, mean: Sequence[float], deviation: Sequence[float]) -> Images:
    """Subtract a mean from each channel and divide by a deviation; both are empty for images as they are.

    Raises:
      InputError: if there is not one number of each for each channel.
    """
    if not (mean or deviation):
        return images
    channels = images.shape[-1]
    if not len(mean) == len(deviation) == channels:
        raise InputError(
            f"config.encoder.mean and deviation must have a number for each of the {channels} channels, got "
            f"{tuple(mean)} and {tuple(deviation)}"
        )
    shift, scale = (jnp.asarray(numbers, images.dtype)[None, None, None] for numbers in (mean, deviation))
    return (images - shift) / scale


class Embedder(nn.Module):
    """Image -> embedding -> prediction: what every objective trains.

    Attributes:
      encoder: images -> embeddings.
      head: embeddings -> predictions.
      frozen: whether only the head learns.
      evaluating: whether the encoder computes in training what it does in evaluation: without dropout, and with the
        running statistics of its BatchNorm, which stay as they are. A frozen one always does.
    """

    encoder: nn.Module
    head: nn.Module
    frozen: bool = False
    evaluating: bool = False

    def __call__(self, images: Images, *, train: bool) -> Outputs:
        """Embed n images [n, h, w, c] and predict from the embeddings; float32 out, whatever came in."""
        embedding = self.encoder(images, train=train and not (self.frozen or self.evaluating))
        prediction = self.head(embedding, train=train)
        return Outputs(embedding.astype(jnp.float32), _float32(prediction))

    def embed(self, images: Images) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] with the frozen encoder, without the head."""
        return self.encoder(images, train=False).astype(jnp.float32)

    def predict(self, embedding: Float[Array, "n d"]) -> PyTree[Float[Array, "n ..."]]:
        """Predict from n embeddings with the frozen head."""
        return _float32(self.head(embedding, train=False))

    @nn.nowrap
    def learning(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters or statistics of the part that learns: of everything but a frozen encoder."""
        return {name: part for name, part in tree.items() if not (self.frozen and name == "encoder")}


class MLP(nn.Module):
    """Dense layers with ReLU, and dropout if asked, between them; the last one is linear.

    Attributes:
      widths: the outputs of each layer; none at all is the identity.
      dropout: probability of dropping a hidden unit.
    """

    widths: Sequence[int]
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "n i"], *, train: bool) -> Float[Array, "n o"]:
        """Map n rows to n rows of the last width."""
        for index, width in enumerate(self.widths):
            if index:
                x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
            x = nn.Dense(width)(x)
        return x


class Projector(nn.Module):
    """Dense layers with BatchNorm and ReLU between them.

    Attributes:
      widths: the outputs of each layer, at least one.
      normalised: whether the last one has a BatchNorm as well, without a scale and a shift of its own.
    """

    widths: Sequence[int]
    normalised: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n i"], *, train: bool) -> Float[Array, "n o"]:
        """Map n rows to n rows of the last width."""
        *hidden, last = self.widths
        for width in hidden:
            x = nn.relu(norm.of_rows(norm.BatchNorm(train), nn.Dense(width, use_bias=False)(x)))
        x = nn.Dense(last, use_bias=not self.normalised)(x)
        return norm.of_rows(norm.BatchNorm(train, affine=False), x) if self.normalised else x


class Predicted(NamedTuple):
    """What a head with a predictor returns: the projections, and what it predicts of them."""

    projection: Float[Array, "n p"]
    prediction: Float[Array, "n p"]


class Predictor(nn.Module):
    """A projector, and a predictor on top of it, as BYOL and SimSiam have them.

    Attributes:
      projection: widths of the projector.
      prediction: widths of the hidden layers of the predictor, whose output is as wide as the projection.
      normalised: whether projections have a BatchNorm without a scale and a shift.
    """

    projection: Sequence[int]
    prediction: Sequence[int]
    normalised: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n d"], *, train: bool) -> Predicted:
        """Project n rows, and predict from the projections."""
        projected = Projector(self.projection, self.normalised, name="projector")(x, train=train)
        widths = (*self.prediction, self.projection[-1])
        return Predicted(projected, Projector(widths, name="predictor")(projected, train=train))


def complete_block(x: Maps, depth: int, *, train: bool) -> Maps:
    """Normalise and rectify n maps [n, h, w, c], then convolve them depth - 1 times by 3×3, each time likewise.

    What a block of convolutions does after its first one. For a compact module's `__call__`: the layers become that
    module's own, as if they were written there.
    """
    x = nn.relu(norm.BatchNorm(train)(x))
    for _ in range(depth - 1):
        x = nn.relu(norm.BatchNorm(train)(convolution.Conv(x.shape[-1], (3, 3))(x)))
    return x


def _float32(prediction: PyTree[Float[Array, "n ..."]]) -> PyTree[Float[Array, "n ..."]]:
    return jax.tree.map(lambda array: array.astype(jnp.float32), prediction)
