"""The model: an encoder with its objective's head on top, and the MLP that heads and probes are made of."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from jaxembed.types import Images, Outputs


def pixels(images: UInt8[Array, "n h w c"]) -> Images:
    """Turn uint8 images [n, h, w, c] into what a model sees: float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


class Embedder(nn.Module):
    """Image -> embedding -> prediction: what every objective trains.

    Attributes:
      encoder: images -> embeddings.
      head: embeddings -> predictions.
      variants: images -> others like them: once trained, the head sees the mean of an image's embedding and theirs.
    """

    encoder: nn.Module
    head: nn.Module
    variants: Callable[[Images], Sequence[Images]]

    def __call__(self, images: Images, *, train: bool) -> Outputs:
        """Embed n images [n, h, w, c] and predict from the embeddings; float32 out, whatever came in."""
        embedding = self.encoder(images, train=train)
        others = () if train else self.variants(images)
        total = sum((self.encoder(other, train=False) for other in others), embedding)
        prediction = self.head(total / (1 + len(others)), train=train)
        return Outputs(embedding.astype(jnp.float32), prediction.astype(jnp.float32))

    def embed(self, images: Images) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] with the frozen encoder, without the head."""
        return self.encoder(images, train=False).astype(jnp.float32)


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
