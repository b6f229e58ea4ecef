"""Wrong labels of a known number, in a dataset that is otherwise as it was."""

import numpy as np
import pytest

from jaxembed import datasets
from jaxembed.core.errors import InputError
from jaxembed.datasets import noisy_labels

LABELS = np.random.default_rng(0).integers(0, 4, 1000).astype(np.int32)


def test_wrong_labels_have_the_configured_share_and_uniform_classes():
    noisy = noisy_labels.mislabel(LABELS, share=0.3, classes=4, becomes=(), draw=0)
    wrong = noisy != LABELS
    assert wrong.sum() == 300
    steps = np.bincount((noisy - LABELS)[wrong] % 4, minlength=4)
    assert steps[0] == 0
    assert (steps[1:] > 75).all()
    np.testing.assert_array_equal(noisy, noisy_labels.mislabel(LABELS, share=0.3, classes=4, becomes=(), draw=0))
    assert (noisy != noisy_labels.mislabel(LABELS, share=0.3, classes=4, becomes=(), draw=1)).any()


def test_classes_are_mistaken_as_configured():
    noisy = noisy_labels.mislabel(LABELS, share=0.2, classes=4, becomes=(0, 2, 1, 3), draw=0)
    wrong = noisy != LABELS
    assert wrong.sum() == 200
    assert {*zip(LABELS[wrong].tolist(), noisy[wrong].tolist(), strict=True)} == {(1, 2), (2, 1)}


def section(**options):
    return {"name": "noisy_labels", "of": {"name": "digits"}, "share": 0.1, "becomes": (), "draw": 0} | options


def test_only_train_labels_change_and_equally_for_all_seeds():
    clean = datasets.load({"name": "digits", "validation": 200}, data_dir=None, seed=0)
    noisy = datasets.load(section(validation=200), data_dir=None, seed=0)
    np.testing.assert_array_equal(noisy.train.images, clean.train.images)
    np.testing.assert_array_equal(noisy.test.labels, clean.test.labels)
    wrong = sum(
        np.sum(getattr(noisy, split).labels != getattr(clean, split).labels) for split in ("train", "validation")
    )
    assert wrong == round(0.1 * 1437)
    assert noisy.name == "digits, 10% of the train labels wrong"
    assert noisy.sha256 != clean.sha256
    other = datasets.load(section(validation=0), data_dir=None, seed=1)
    order = np.argsort([int(name.split("/")[1]) for name in (*noisy.names["train"], *noisy.names["validation"])])
    np.testing.assert_array_equal(
        other.train.labels, np.concatenate([noisy.train.labels, noisy.validation.labels])[order]
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"becomes": (1, 0)}, r"becomes must have 10 classes, from 0 to 9, got \(1, 0\)"),
        ({"becomes": (10, *range(1, 10))}, "becomes must have 10 classes"),
        ({"becomes": (1, *range(1, 10)), "share": 0.5}, "share must be at most 0.09.*, got 0.5"),
        ({"of": {"name": "digit"}}, "config.data.of.name|did you mean 'digits'"),
        ({"of": {"name": "digits", "size": 3}}, "config.data.of has no option .size.; it takes: none"),
        ({"of": "digits"}, "config.data.of must be a section"),
        ({"share": 1.5}, r"config.data.share must be in \[0, 1\]"),
    ],
)
def test_invalid_options_are_named(options, error, tmp_path):
    with pytest.raises(InputError, match=error):
        datasets.load(section(validation=0) | options, data_dir=str(tmp_path), seed=0)
