"""Vision transformer: patches as tokens; wide enough for DINOv2, CLIP's vision tower, timm's ViT and MAE."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed import model
from jaxembed.core.bounds import Count, Depth, Deviations, Means, NonNegative, Positive, PositiveFloat, Width
from jaxembed.core.errors import InputError
from jaxembed.types import Images

Pool = Literal["token", "mean"]
Activation = Literal["gelu", "quick_gelu"]
Resampling = Literal["bicubic", "antialiased"]
Tokens = Float[Array, "n t d"]


class Encoder(nn.Module):
    """Patches -> tokens -> pre-norm transformer blocks -> LayerNorm -> the class token, or the mean of the patches.

    224×224×3 images, patch 14, grid 37, width 384, depth 12, heads 6, hidden 1,536, LayerScale: 22,055,808
    parameters (DINOv2's small one).
    Pixels beyond the last whole patch are not seen.
    Source: Dosovitskiy et al. 2021, arXiv:2010.11929; registers: Darcet et al. 2024, arXiv:2309.16588; LayerScale:
    Touvron et al. 2021, arXiv:2103.17239.

    Attributes:
      patch: side of a patch in pixels.
      grid: patches along a side of the images that the positions are learned for; for other images they are
        resampled.
      width: channels of a token.
      depth: number of blocks.
      heads: number of attention heads, which divides the width.
      hidden: channels of the hidden layer of each block's MLP.
      pool: "token" or "mean": what becomes the embedding.
      registers: number of tokens that hold no place and are not part of the embedding.
      layer_scale: what the factors on each residual branch start at; 0 for none.
      epsilon: what LayerNorm adds to a variance.
      activation: "gelu" by the error function, or "quick_gelu", x times sigmoid(1.702 x), as OpenAI's CLIP has it.
      prenorm: whether tokens are normalised before the first block; patches then have no bias, as in CLIP.
      projection: size of a linear embedding without a bias at the end; 0 for none, and d = width.
      positions: "bicubic" as PyTorch's without antialiasing, or "antialiased" as PyTorch's with it.
      remat: whether a block's values are computed again for its gradient, which saves memory and costs time.
      mean: of each channel of the pixels in [0, 1], which is subtracted; empty for none.
      deviation: of each channel, which they are then divided by; empty for none.
    """

    patch: int
    grid: int
    width: int
    depth: int
    heads: int
    hidden: int
    pool: Pool
    registers: int
    layer_scale: float
    epsilon: float
    activation: Activation
    prenorm: bool
    projection: int
    positions: Resampling
    remat: bool
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Float[Array, "n d"]:
        """Embed n images [n, h, w, c] as [n, width], or [n, projection]."""
        if min(images.shape[1:3]) < self.patch:
            h, w = images.shape[1:3]
            raise InputError(f"config.encoder.patch must be at most the images' sides, {h}×{w}, got {self.patch}")
        x = model.standardised(images, self.mean, self.deviation)
        sides = (self.patch, self.patch)
        x = nn.Conv(self.width, sides, sides, padding="VALID", use_bias=not self.prenorm, name="patches")(x)
        n, rows, columns, _ = x.shape
        small = nn.initializers.truncated_normal(0.02)
        known = self.param("positions", small, (self.grid, self.grid, self.width))
        x = x.reshape(n, rows * columns, self.width) + self._resampled(known, rows, columns)[None]
        kept = self.registers
        if self.pool == "token":
            # With its own position added: a constant, which published files have apart.
            x = jnp.concatenate([_each(self.param("token", small, (1, self.width)), x), x], axis=1)
            kept += 1
        if self.registers:
            held = _each(self.param("registers", small, (self.registers, self.width)), x)
            first = kept - self.registers
            x = jnp.concatenate([x[:, :first], held, x[:, first:]], axis=1)
        if self.prenorm:
            x = _norm(self.epsilon, "prenorm")(x)
        block = nn.remat(Block) if self.remat else Block
        for index in range(self.depth):
            x = block(
                self.heads, self.hidden, self.layer_scale, self.epsilon, self.activation, name=f"block_{index}"
            )(x)
        x = _norm(self.epsilon, "norm")(x)
        x = x[:, 0] if self.pool == "token" else jnp.mean(x[:, kept:], axis=1)
        return nn.Dense(self.projection, use_bias=False, name="projection")(x) if self.projection else x

    @nn.nowrap
    def _resampled(self, known: Float[Array, "g g d"], rows: int, columns: int) -> Float[Array, "p d"]:
        """Resample the positions to a grid of another size, in float32."""
        if (rows, columns) != (self.grid, self.grid):
            method = "cubic" if self.positions == "antialiased" else "cubic-pytorch"
            shape = (rows, columns, self.width)
            antialias = self.positions == "antialiased"
            resampled = jax.image.resize(known.astype(jnp.float32), shape, method, antialias=antialias)
            known = resampled.astype(known.dtype)
        return known.reshape(rows * columns, self.width)


class Block(nn.Module):
    """Attention, then an MLP: each on normalised tokens, scaled and added to them.

    In a causal one a token sees none that follow it.
    """

    heads: int
    hidden: int
    layer_scale: float
    epsilon: float
    activation: Activation
    causal: bool = False

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """Map [n, t, d] to [n, t, d]."""
        attention = Attention(self.heads, self.causal, name="attention")
        x = x + self._scaled(attention(_norm(self.epsilon, "norm_1")(x)), "scale_1")
        y = _dense(self.hidden, "expand")(_norm(self.epsilon, "norm_2")(x))
        y = nn.gelu(y, approximate=False) if self.activation == "gelu" else y * nn.sigmoid(1.702 * y)
        return x + self._scaled(_dense(x.shape[-1], "reduce")(y), "scale_2")

    @nn.nowrap
    def _scaled(self, y: Tokens, name: str) -> Tokens:
        if not self.layer_scale:
            return y
        return y * self.param(name, nn.initializers.constant(self.layer_scale), (y.shape[-1],))[None, None]


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1), with biases."""

    heads: int
    causal: bool = False

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        """Map [n, t, d] to [n, t, d]."""
        n, t, d = x.shape
        queries, keys, values = jnp.split(_dense(3 * d, "qkv")(x).reshape(n, t, 3 * self.heads, -1), 3, axis=2)
        scores = jnp.einsum("nqhe,nkhe->nhqk", queries, keys) * (d // self.heads) ** -0.5
        if self.causal:
            scores = jnp.where(jnp.tri(t, dtype=bool)[None, None], scores, -jnp.inf)
        shares = nn.softmax(scores.astype(jnp.float32)).astype(x.dtype)
        return _dense(d, "out")(jnp.einsum("nhqk,nkhe->nqhe", shares, values).reshape(n, t, d))


def _each(tokens: Float[Array, "k d"], x: Tokens) -> Float[Array, "n k d"]:
    """Repeat tokens for each of n images."""
    return jnp.broadcast_to(tokens[None], (x.shape[0], *tokens.shape))


def _norm(epsilon: float, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


def _dense(width: int, name: str) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.xavier_uniform(), name=name)


SMALLEST = dict(
    patch=3,
    grid=2,
    width=8,
    depth=2,
    heads=2,
    hidden=12,
    pool="token",
    registers=1,
    layer_scale=0.5,
    epsilon=1e-6,
    activation="gelu",
    prenorm=False,
    projection=0,
    positions="bicubic",
    remat=False,
    mean=(),
    deviation=(),
)


def make(
    *,
    patch: Positive,
    grid: Positive,
    width: Width,
    depth: Depth,
    heads: Positive,
    hidden: Width,
    pool: Pool,
    registers: Count,
    layer_scale: NonNegative,
    epsilon: PositiveFloat,
    activation: Activation,
    prenorm: bool,
    projection: Count,
    positions: Resampling,
    remat: bool,
    mean: Means,
    deviation: Deviations,
) -> Encoder:
    """Make the encoder from the options of config.encoder."""
    if width % heads:
        raise InputError(f"config.encoder.heads must divide the width, {width}, got {heads}")
    return Encoder(
        patch,
        grid,
        width,
        depth,
        heads,
        hidden,
        pool,
        registers,
        layer_scale,
        epsilon,
        activation,
        prenorm,
        projection,
        positions,
        remat,
        mean,
        deviation,
    )
