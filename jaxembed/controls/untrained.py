"""Untrained: the encoder of a run as it is before the first step, with the run's seed."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jaxembed import encoders, model
from jaxembed.artifacts import identity
from jaxembed.artifacts.encoder_file import SavedEncoder
from jaxembed.controls import Embed
from jaxembed.core import keys
from jaxembed.core.bounds import Section
from jaxembed.devices import mesh
from jaxembed.embed.frozen import FrozenEncoder
from jaxembed.kernels import compiler
from jaxembed.pictures import Preparation, Shape

SMALLEST = dict(encoder={"name": "fc", "widths": (16,), "latent": 6, "dropout": 0.0}, dtype="float32")
# Train images that a whitened stem is made from, as by train.start.
SEEN = 256


def fit(
    images: UInt8[np.ndarray, "n h w c"], seed: int, *, encoder: Section, dtype: Literal["float32", "bfloat16"]
) -> Embed:
    """Make the encoder with the random weights of this seed, those that a run starts from by default.

    Args:
      images: the train images, of which only a whitened stem uses some.
      seed: the run's seed.
      encoder: its config.encoder.
      dtype: its config.train.dtype.
    """
    embedder = model.Embedder(encoders.make(identity.with_tuples(encoder)), model.MLP((), dropout=0.0))
    rows = np.linspace(0, len(images) - 1, min(len(images), SEEN)).astype(int)
    with jax.default_device(mesh.host()):
        start = jax.jit(partial(embedder.init, train=False), compiler_options=compiler.unoptimised())
        variables = start(keys.divide(jax.random.key(seed)).init, model.pixels(jnp.asarray(images[rows])))
    weights = [jax.device_get(variables.get(kind, {}).get("encoder", {})) for kind in ("params", "batch_stats")]
    config = {"encoder": encoder, "train": {"dtype": dtype}, "evaluate": {"distance": "cosine"}}
    saved = SavedEncoder("untrained", config, Preparation(Shape(*images.shape[1:])), "", *weights)
    return FrozenEncoder(saved).embed_pixels
