"""CLIP's text tower: tokens -> the space of the images."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from jaxembed.encoders import vit

EPSILON = 1e-5


class Tower(nn.Module):
    """Token and position embeddings, causal pre-LN transformer, and a projection of the end-of-text token's row.

    Of ViT-B/32 and ViT-B/16, both with 49,408 tokens: 63,428,096 parameters.
    Source: Radford et al. 2021, arXiv:2103.00020, section 2.4, and the code published with it.

    Attributes:
      vocabulary: how many tokens there are; the end-of-text token must have the highest number of a text.
      context: the largest number of tokens of a text.
      width: channels of a token.
      depth: number of blocks.
      heads: number of attention heads, which divides the width.
      projection: d, that of the embedding.
      activation: of the blocks' MLPs, as in `vit`.
    """

    vocabulary: int
    context: int
    width: int
    depth: int
    heads: int
    projection: int
    activation: vit.Activation

    @nn.compact
    def __call__(self, tokens: Int[Array, "n t"]) -> Float[Array, "n d"]:
        """Embed n texts of t <= context tokens; what follows the end-of-text token has no influence."""
        positions = self.param("positions", nn.initializers.normal(0.01), (self.context, self.width))
        x = nn.Embed(self.vocabulary, self.width, name="tokens")(tokens) + positions[None, : tokens.shape[1]]
        for index in range(self.depth):
            hidden = 4 * self.width
            x = vit.Block(self.heads, hidden, 0.0, EPSILON, self.activation, causal=True, name=f"block_{index}")(x)
        ends = x[jnp.arange(len(tokens)), jnp.argmax(tokens, axis=1)]
        ends = nn.LayerNorm(epsilon=EPSILON, use_fast_variance=False, name="norm")(ends)
        return nn.Dense(self.projection, use_bias=False, name="projection")(ends)
