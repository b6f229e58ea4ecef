"""The types that all parts use, and the letters of their axes.

Axes: `b` images of a batch, `n` rows after views, `d` embedding, `h w c` the pixels of one image.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, PyTree, Shaped, UInt8

from jaxembed.core.keys import Key

Scalar = Float[Array, ""] | float
Image = Float[Array, "h w c"]
Images = Float[Array, "n h w c"]
Augment = Callable[[Key, Image], Image]
Scores = dict[str, Array]


@runtime_checkable
class OnDisk(Protocol):
    """Uint8 images [n, h, w, c] that are read from disk when they are indexed."""

    shape: tuple[int, ...]
    dtype: np.dtype
    ndim: int

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, rows: Any) -> UInt8[np.ndarray, "*rows h w c"]:
        """Read images, as an array does it for an index of its first axis."""

    def subset(self, rows: Any) -> "OnDisk":
        """Select images without reading them."""


class Batch(NamedTuple):
    """Images and their labels: uint8 at rest, float in [0, 1] inside a step; labels are -1 where there are none.

    At rest, the images of a train split may be on disk.
    """

    images: Float[Array, "b h w c"] | UInt8[Array, "b h w c"] | UInt8[np.ndarray, "b h w c"] | OnDisk
    labels: Int[Array, " b"] | Int[np.ndarray, " b"]


class Published(NamedTuple):
    """A dataset as it was published.

    Attributes:
      classes: the classes' names; empty if the images have no labels, which are all -1 then.
      train: the images to learn from; validation images are taken from them if there is no such split.
      test: the images to test on; None if there is no such split.
      validation: the images to validate on; None if there is no such split.
      names: the images' names, by split, where they have any; the choice of validation images then depends only on
        the train images' names and the seed.
      title: the dataset's title in reports; empty for the name by which it was loaded.
      sha256: the dataset's fingerprint (`fingerprint.of`) if it was cached; empty if it is still to be computed.
    """

    classes: tuple[str, ...]
    train: Batch
    test: Batch | None
    validation: Batch | None = None
    names: Mapping[str, tuple[str, ...]] = {}
    title: str = ""
    sha256: str = ""


class Dataset(NamedTuple):
    """Images uint8 [n, h, w, c] and labels int32 [n] on the host, in up to three splits.

    Only the images of train may be on disk (types.OnDisk) instead of in memory.

    Attributes:
      name: the dataset's name in reports.
      classes: classes[label] is a label's name; empty if the images have no labels, which are all -1 then.
      train: the images to learn from.
      validation: the images to choose settings by; None if nothing was held out.
      test: the images that are used once; None if there is no such split.
      sha256: fingerprint of what was published (`fingerprint.of`): the same for each seed, and for each copy.
      names: the images' names, by split: as published, or `<split>/<row>` by the published split and the row in it.
    """

    name: str
    classes: tuple[str, ...]
    train: Batch
    validation: Batch | None
    test: Batch | None
    sha256: str = ""
    names: Mapping[str, Shaped[np.ndarray, " n"]] = {}

    @property
    def held_out(self) -> tuple[str, ...]:
        """The splits that a run does not learn from: some of validation and test."""
        return tuple(name for name in ("validation", "test") if getattr(self, name) is not None)

    @property
    def measured(self) -> tuple[str, ...]:
        """The splits that an embedding is measured on: train only if there is no other."""
        return self.held_out or ("train",)

    def names_of(self, split: str) -> Sequence[str] | Shaped[np.ndarray, " n"]:
        """Name the images of a split; where none are known, `<split>/<row>`."""
        names = self.names.get(split)
        return [f"{split}/{row}" for row in range(len(getattr(self, split).labels))] if names is None else names

    @property
    def is_labelled(self) -> bool:
        """Whether measures can go by labels: each split that is measured has two classes, one with two images."""
        return bool(self.held_out) and all(_is_labelled(getattr(self, split)) for split in self.held_out)


class Outputs(NamedTuple):
    """The outputs of a model for n images; float32 whatever the compute type.

    A head that predicts several things returns a NamedTuple of its own.
    """

    embedding: Float[Array, "n d"]
    prediction: PyTree[Float[Array, "n ..."]]


class Weights(NamedTuple):
    """The parameters of a model and the statistics of its BatchNorm."""

    params: Any
    stats: Any


class Seen(NamedTuple):
    """What an objective scores: the outputs for the views of a batch, and all that they are compared with.

    Attributes:
      outputs: of the network that learns.
      target: the batch that the views are scored against.
      teacher: outputs of the averaged weights for the same views, without a gradient; None without a teacher.
      memory: the objective's own arrays, as they are before the step.
      key: for what is drawn in the score.
      progress: the share of the steps that are done, in [0, 1]: 1 only where a finished run is evaluated.
    """

    outputs: Outputs
    target: Batch
    teacher: Outputs | None = None
    memory: Any = ()
    key: Key | None = None
    progress: Scalar = 0.0


class Task(NamedTuple):
    """What an objective is made for: an encoder, images of one shape (h, w, c), and the number of classes.

    There are 0 classes if the images have no labels, and 1 if all have the same.
    """

    encoder: nn.Module
    image_shape: tuple[int, int, int]
    classes: int


def keep(seen: Seen) -> Any:
    """Keep an objective's memory as it is."""
    return seen.memory


class Objective(NamedTuple):
    """What to learn from: how to view a batch, what to predict, how to score it, and what to remember of it.

    Attributes:
      head: module from an embedding [n, d] to a prediction [n, ...], or to a NamedTuple of several.
      views: (key, batch of b) -> (the images [n, h, w, c] that the network sees, the batch it is scored against).
      score: what was seen -> values per row, or one for the whole batch; "loss" is the one minimised.
      reports: names in the scores that are defined image by image, without views or neighbours, and so are
        measured exactly over a whole split after training.
      variants: test-time augmentation: images [n, h, w, c] -> variants of them, each of that shape. For `reports`,
        the head gets the mean of the embeddings of an image and of its variants.
      teacher: the share of the steps that are done -> the decay of a teacher, whose weights are a moving average of
        those that learn: after a step, decay × its own + (1 - decay) × theirs. It embeds the same views; its
        BatchNorm has statistics of its own. None for no teacher.
      evaluates_teacher: whether the embedding is the teacher's.
      memory: key -> arrays that the objective keeps from step to step, before the first one.
      remember: what was seen -> those arrays after the step.
    """

    head: nn.Module
    views: Callable[[Key, Batch], tuple[Images, Batch]]
    score: Callable[[Seen], Scores]
    reports: tuple[str, ...] = ()
    variants: Callable[[Images], Sequence[Images]] = lambda images: ()
    teacher: Callable[[Scalar], Scalar] | None = None
    evaluates_teacher: bool = False
    memory: Callable[[Key], Any] = lambda key: ()
    remember: Callable[[Seen], Any] = keep


class State(NamedTuple):
    """All that changes in training, arrays only: a checkpoint is this and nothing else.

    `teacher` (types.Weights) and `memory` are `()` where the objective has none.
    """

    step: Int[Array, ""]
    key: Key
    params: Any
    stats: Any
    opt_state: Any
    teacher: Any = ()
    memory: Any = ()


def _is_labelled(split: Batch) -> bool:
    counts = np.unique(split.labels[split.labels >= 0], return_counts=True)[1]
    return len(counts) > 1 and bool(counts.max() > 1)
