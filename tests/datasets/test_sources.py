"""Every dataset with a file of its own keeps the contract."""

import inspect

import numpy as np
import pytest

from jaxembed import datasets
from jaxembed.core import options
from jaxembed.types import Published


@pytest.mark.parametrize("name", datasets.sources())
def test_a_source_returns_two_splits_of_labelled_images(name):
    module = options.find(datasets, name, what="a dataset")
    published, again = (module.load(name, None, **module.SMALLEST) for _ in range(2))
    assert isinstance(published, Published)
    for split in (published.train, published.test):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
        assert split.images.ndim == 4
        assert split.images.shape[3] in (1, 3)
        assert split.labels.shape == split.images.shape[:1]
        assert set(split.labels.tolist()) <= set(range(len(published.classes)))
    assert published.train.images.shape[1:] == published.test.images.shape[1:]
    np.testing.assert_array_equal(published.train.images, again.train.images)


@pytest.mark.parametrize("name", options.names(datasets))
def test_the_options_of_a_source_are_keyword_only(name):
    module = options.find(datasets, name, what="a dataset")
    first, second, *rest = inspect.signature(module.load).parameters.values()
    assert (first.name, second.name) == ("name", "data_dir")
    # What `datasets.load` passes on to those that can leave images on disk; no option.
    assert all(p.kind is p.KEYWORD_ONLY for p in rest if p.name != "resident")
