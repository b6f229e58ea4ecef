"""The 8×8 digits inside scikit-learn: real data without a download."""

import numpy as np

from jaxembed.types import Batch, Published

# No split is published. The rows are "apparently grouped by authors" (scikit-learn's test_split.py), so the last
# ones are by writers that the rest mostly does not have, where a random fifth would share them.
TEST = 360
SMALLEST = dict()


def load(name: str, data_dir: str | None) -> Published:
    """Load the 1,797 digits, the last 360 as the test split; neither argument is used."""
    from sklearn import datasets  # here, because it takes a second, and other datasets do without it

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    train, test = Batch(images[:-TEST], labels[:-TEST]), Batch(images[-TEST:], labels[-TEST:])
    return Published(tuple(map(str, digits.target_names)), train, test)
