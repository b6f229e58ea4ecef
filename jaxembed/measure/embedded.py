"""What is measured: an embedded dataset, and the config that says how it was made and how it is measured."""

import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxembed.core.errors import InputError
from jaxembed.evaluate.evaluation import Embeddings
from jaxembed.types import Dataset

# How embeddings are measured if nothing else is asked for.
PROTOCOL = dict(
    neighbours=10,
    distance="cosine",
    views=0,
    augmentation={},
    linear=dict(epochs=30, batch_size=512, learning_rate=0.03, weight_decay=0.0, weight_decays=(0.01, 0.1)),
    mlp=dict(hidden=(256,), dropout=0.3, epochs=30, batch_size=512, learning_rate=2e-3, weight_decay=0.1),
)


class Embedded(NamedTuple):
    """An embedded dataset.

    Attributes:
      dataset: its labels, names and, if known, images.
      embeddings: the vectors of its splits.
      config: what config.json says: how the vectors were made and are measured.
      sha256: the hash of the vectors, or of the encoder that made them.
      trained_on: the name of the dataset that the encoder was trained on; None if that is not known.
    """

    dataset: Dataset
    embeddings: Embeddings
    config: dict[str, Any]
    sha256: str
    trained_on: str | None


def divided(asked: Any, config: Mapping[str, Any]) -> tuple[int, float]:
    """Return (the seed, the validation images to hold out), as asked for or as in a run's config."""
    seed = config.get("seed", 0) if asked.seed is None else asked.seed
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be {'at least 0' if seed < 0 else 'below 2**32'}, got {seed}")
    if asked.validation is None:
        return seed, float(config.get("data", {}).get("validation", 0))
    if not 0 <= asked.validation < math.inf or (asked.validation >= 1 and asked.validation % 1):
        raise InputError(f"--validation must be a share below 1 or a whole number, got {asked.validation:g}")
    return seed, asked.validation


def without_views(section: Mapping[str, Any], distance: str | None) -> dict[str, Any]:
    """Take a protocol without augmented views, for which there is no encoder."""
    if section["views"] or section["augmentation"]:
        print(
            "measure: the protocol's augmented views are not available; probes are trained on the images only",
            file=sys.stderr,
        )
    return with_distance(dict(section) | {"views": 0, "augmentation": {}}, distance)


def with_distance(section: Mapping[str, Any], distance: str | None) -> dict[str, Any]:
    """Take a protocol, with the distance that is asked for if one is."""
    return dict(section) | ({"distance": distance} if distance else {})
