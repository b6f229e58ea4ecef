"""Words for pictures: which of a list of words is nearest to each embedding, or to the middle of each cluster."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tqdm
from jaxtyping import Float, Int

from jaxembed.core import files
from jaxembed.core.errors import InputError
from jaxembed.embed import index
from jaxembed.embed.vectors import Vectors

if TYPE_CHECKING:
    from jaxembed.embed.encoder import Encoder

# The seven of CLIP's 80 templates for ImageNet that its authors found to do as well as all of them.
# Source: openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb.
TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
# Labels that are listed with their counts.
_SHOWN = 10


def read(file: Path) -> list[str]:
    """Read a list of words, one or several on a line, of which each is one label; empty lines are left out.

    Raises:
      InputError: if the file cannot be read, is not UTF-8, or has fewer than two labels or one twice.
    """
    try:
        lines = files.regular(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a list of words: {files.line(str(error))}") from error
    labels = [" ".join(line.split()) for line in lines if line.strip()]
    if len(labels) < 2:
        raise InputError(f"{file} must have at least two words, each on its own line, got {len(labels)}")
    label, count = collections.Counter(labels).most_common(1)[0]
    if count > 1:
        raise InputError(f"{file} has {files.printable(label)} more than once")
    return labels


def embed(
    encoder: "Encoder", labels: Sequence[str], *, templates: Sequence[str] = TEMPLATES
) -> Float[np.ndarray, "m d"]:
    """Embed m labels, each as the mean direction of its texts.

    Args:
      encoder: an encoder with a text side.
      labels: words, as "dog".
      templates: texts in which `{}` stands for a label; ("{}",) for the labels themselves.

    Returns:
      [m, d] of length 1.
    """
    means = []
    for label in tqdm.tqdm(labels, desc="words", unit=" words", disable=None):
        texts = [template.replace("{}", label) for template in templates]
        means.append(_directions(encoder.embed_text(texts)).mean(axis=0))
    return _directions(np.stack(means))


def nearest(points: Float[np.ndarray, "n d"], labels: Float[np.ndarray, "m d"]) -> Int[np.ndarray, "n"]:
    """Return the number of the label with the largest cosine for each embedding."""
    return index.Exact(labels, distance="cosine").search(points, 1).rows[:, 0]


def nearest_to_clusters(
    points: Float[np.ndarray, "n d"], clusters: Int[np.ndarray, "n"], labels: Float[np.ndarray, "m d"]
) -> dict[int, int]:
    """Name clusters: the number of each -> that of the label nearest to the mean direction of its embeddings."""
    numbers, members = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(numbers), points.shape[1]), np.float32)
    np.add.at(sums, members, _directions(points))
    return dict(zip(numbers.tolist(), nearest(sums, labels).tolist(), strict=True))


def labelled(embedded: Vectors, names: Sequence[str], labels: Float[np.ndarray, "m d"]) -> Vectors:
    """Label each image with the name of the label nearest to it, instead of the label that it has."""
    return embedded._replace(labels=[names[number] for number in nearest(embedded.embeddings, labels)])


def counted(labels: Sequence[str]) -> str:
    """Count the images of each label, the most frequent first."""
    counts = collections.Counter(labels).most_common()
    shown = ", ".join(f"{files.printable(label)} {count:,}" for label, count in counts[:_SHOWN])
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")


def _directions(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
