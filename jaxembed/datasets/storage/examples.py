"""The records of a prepared split: an encoded image and a label each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxembed.datasets.storage import decode
from jaxembed.pictures import Pixels


class Example(NamedTuple):
    """A record: the image, still encoded, and its label as it was written, which may be no valid one."""

    encoded: bytes
    label: float


class Examples:
    """The records of a split by number.

    Attributes:
      split: the split's name.
    """

    def __init__(self, source: Any, image: Any, *, keys: tuple[str, str]) -> None:
        """Describe the records; nothing is read.

        Args:
          source: TFDS's data source of the split, which returns raw bytes.
          image: TFDS's feature of the image.
          keys: the names of the image and the label in a record.
        """
        import tensorflow_datasets as tfds

        self.split, self._source, self._keys = str(source.split), source, keys
        # TFDS would round a label to an integer.
        label = tfds.features.Scalar(np.float64)
        self._features = tfds.features.FeaturesDict(dict(zip(keys, (image, label), strict=True)))
        # We decode the image's bytes ourselves, because TFDS would log advice to install opencv.
        self._decoders = {keys[0]: tfds.decode.SkipDecoding()}

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._source)

    def read(self, rows: Sequence[int]) -> list[Example]:
        """Read some records; errors are TFDS's."""
        parse, (image, label) = self._features.deserialize_example_np, self._keys
        parsed = [parse(record, decoders=self._decoders) for record in self._source.__getitems__(list(rows))]
        return [Example(each[image], each[label]) for each in parsed]

    def decode(self, row: int, encoded: bytes, shape: tuple[int, ...]) -> Pixels:
        """Decode a record's image with `lossless.decode`; ValueError names the record if that is not possible."""
        try:
            return decode.decode(encoded, shape)
        except MemoryError:
            raise
        except Exception as error:  # a damaged image can raise anything
            raise ValueError(f"the image in record {row} of {self.split}: {error}") from error

    def labels(self, values: Sequence[float], classes: int) -> np.ndarray:
        """Return the labels of all records as int32; ValueError names the first record whose label is no class."""
        values = np.asarray(values, np.float64)
        wrong = ~((values >= 0) & (values < classes) & (values == np.floor(values)))
        if not wrong.any():
            return values.astype(np.int32)
        row = int(np.argmax(wrong))
        raise ValueError(
            f"the label in record {row} of {self.split} must be a whole number in 0..{classes - 1}, one for each "
            f"class name; got {values[row]:g}"
        )
