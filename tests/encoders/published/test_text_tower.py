"""Features of texts equal those of open_clip's and transformers' classes, which `oracles/words.py` froze."""

from functools import partial
from pathlib import Path

import clip_folders
import jax
import numpy as np
import pytest

from jaxembed.encoders.published import clip_text
from jaxembed.encoders.published.text_tower import Tower
from jaxembed.encoders.published.weights import Model

NAMES = {"open_clip": "open_clip_config.json", "transformers": "config.json"}
with np.load(Path(__file__).parent / "oracles" / "features.npz") as file:
    FROZEN = dict(file)


def features(library: str, activation: str, tokens: np.ndarray, **sizes: int) -> np.ndarray:
    others = {"visual.proj": np.zeros(3, np.float32), "logit_scale": np.zeros((), np.float32)}
    configs = {NAMES[library]: clip_folders.config(library, activation, **sizes)}
    model = Model(Path("model"), clip_folders.arrays(library, **sizes) | others, configs)
    tower, params = clip_text.convert(model)
    assert tower == Tower(**sizes, activation=activation)
    return np.asarray(jax.jit(tower.apply)({"params": params}, tokens))


@pytest.mark.parametrize("library", clip_folders.LIBRARIES)
@pytest.mark.parametrize(
    ("size", "sizes", "activation"),
    [
        ("tiny", clip_folders.TINY, "quick_gelu"),
        ("tiny", clip_folders.TINY, "gelu"),
        pytest.param("true", clip_folders.TRUE, "quick_gelu", marks=pytest.mark.slow),
    ],
)
def test_features_are_those_of_the_publishers_classes(size, sizes, activation, library):
    expected = FROZEN[f"{size}_{library}_{activation}"]
    found = features(library, activation, FROZEN[f"{size}_tokens"], **sizes)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(expected - expected[:1]).max(axis=1)[1:].min() > 0.1


def test_what_follows_the_end_of_a_text_has_no_influence():
    tokens, run = FROZEN["tiny_tokens"], partial(features, "open_clip", "quick_gelu", **clip_folders.TINY)
    end = clip_folders.TINY["vocabulary"] - 1
    after = np.maximum.accumulate(tokens == end, axis=1) & (tokens != end)
    assert after.any()
    longest = int((tokens[:4] > 0).sum(axis=1).max())
    np.testing.assert_array_equal(run(np.where(after, 7, tokens)), run(tokens))
    np.testing.assert_allclose(run(tokens[:4, :longest]), run(tokens)[:4], atol=1e-5)
