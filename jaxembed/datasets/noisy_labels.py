"""Another dataset in which some train labels are wrong: to see what they do, and which way of learning finds them.

The same train labels are changed for every seed of a run. The images and the test split stay as they are, but
validation images that are held out of train have their share of wrong labels.
"""

from typing import Annotated

import numpy as np
from jaxtyping import Int

from jaxembed import datasets
from jaxembed.core import bounds
from jaxembed.core.bounds import Count, Section, Share
from jaxembed.core.errors import InputError
from jaxembed.types import Published

# The class that each class is taken for.
Classes = Annotated[tuple[int, ...], bounds.least(0), bounds.Length(0, 65536)]
SMALLEST = dict(of=dict(name="digits"), share=0.1, becomes=(), draw=0)


def load(
    name: str,
    data_dir: str | None,
    resident: float = float("inf"),
    *,
    of: Section,
    share: Share,
    becomes: Classes,
    draw: Count,
) -> Published:
    """Load a dataset, and change a share of its train labels.

    Args:
      name: the name that the config gives; `of` says which dataset is loaded.
      data_dir: the folder with prepared datasets, as in `datasets.load`.
      resident: the limit on decoded images in memory, as in `datasets.load`.
      of: the dataset's name and its source's options.
      share: the share of the train images that get a wrong label.
      becomes: the class that each class is taken for, itself for a class that is never mistaken; if empty, any
        other class with equal probability.
      draw: which of the random choices of images to use, by its number.

    Raises:
      InputError: as `datasets.load`; or if the dataset has fewer than two classes, `becomes` does not fit them, or
        there are too few images in the classes that are mistaken.
    """
    published = datasets.published(of, data_dir=data_dir, resident=resident, what="config.data.of")
    classes, train = published.classes, published.train
    if len(classes) < 2:
        raise InputError(f"config.data.of must have at least 2 classes to be mistaken, got {len(classes)}")
    if becomes and (len(becomes) != len(classes) or max(becomes) >= len(classes)):
        raise InputError(
            f"config.data.becomes must have {len(classes)} classes, from 0 to {len(classes) - 1}, got {becomes}"
        )
    labels = mislabel(train.labels, share=share, classes=len(classes), becomes=becomes, draw=draw)
    title = f"{published.title or of['name']}, {100 * share:g}% of the train labels wrong"
    return published._replace(train=train._replace(labels=labels), title=title, sha256="")


def mislabel(
    labels: Int[np.ndarray, " n"], *, share: float, classes: int, becomes: tuple[int, ...], draw: int
) -> Int[np.ndarray, " n"]:
    """Change a share of some labels, as `load` does, and return all of them.

    Raises:
      InputError: if there are too few rows in the classes that are mistaken.
    """
    random = np.random.default_rng(draw)
    target = np.array(becomes) if becomes else None
    mistaken = np.arange(len(labels)) if target is None else np.flatnonzero(target[labels] != labels)
    count = round(share * len(labels))
    if count > len(mistaken):
        raise InputError(
            f"config.data.share must be at most {len(mistaken) / len(labels):g}, the share of the classes that "
            f"config.data.becomes changes, got {share:g}"
        )
    rows = np.sort(random.choice(mistaken, count, replace=False))
    changed = labels.copy()
    # A step from a class to any other but itself.
    steps = random.integers(1, classes, count)
    changed[rows] = (labels[rows] + steps) % classes if target is None else target[labels[rows]]
    return changed
