"""The sample of a run holds thumbnails of its images, and nothing else of it changes."""

import numpy as np
import pytest

from jaxembed import pictures
from jaxembed.artifacts import samples
from jaxembed.artifacts.samples import Sample


@pytest.mark.parametrize(("side", "written"), [(96, 96), (128, 96)])
def test_written_sample_holds_thumbnails(side, written, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, side, side, 3), np.uint8)
    sample = Sample(**dict.fromkeys(Sample._fields))._replace(
        classes=np.array((), str),
        rows=np.arange(4),
        images=images,
        points=random.normal(size=(4, 2)),
        nearest=np.ones((4, 1), np.int32),
        queries=images[:2],
        found=images[None, :3].repeat(2, axis=0),
        seen=images[None].repeat(3, axis=0),
    )
    samples.write(sample, tmp_path)
    read = samples.read(tmp_path)
    for name in ("images", "queries", "found", "seen"):
        assert getattr(read, name).shape[-3:] == (written, written, 3)
        np.testing.assert_array_equal(getattr(read, name), pictures.thumbnails(getattr(sample, name)))
    np.testing.assert_array_equal(read.points, sample.points)
