"""Gradients in chunks are those of the whole batch, on one device and on eight."""

import jax
import numpy as np
import pytest
from conftest import ENCODERS, OBJECTIVES
from numpy.testing import assert_allclose

from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.run import build
from jaxembed.train import feed, start, steps

NORMALISED = {"barlow", "byol", "dino", "sigreg", "simsiam", "vicreg"}
SGD = {"name": "sgd", "learning_rate": 0.1, "warmup_epochs": 0.0, "momentum": 0.9, "weight_decay": 0.0}


def three_steps(config, dataset, devices, monkeypatch, **options) -> list[np.ndarray]:
    """Take three steps without dropout, which draws other masks in chunks; return the state and the scores."""
    config.optimizer = SGD
    config.train.update(options)
    some = mesh.make(jax.devices()[:devices])
    monkeypatch.setattr(mesh, "make", lambda *_: some)
    run = build.run(config, dataset)
    state = start.initial(run, dataset, seed=3)
    fed = feed.Epoch(mesh.replicate(run.mesh, dataset.train), feed.permute(state.key, 0, 75))
    state, scores = steps.advance(run, state, fed, 3)
    parts = state._replace(key=jax.random.key_data(state.key), opt_state=())
    return [np.asarray(leaf) for leaf in jax.tree.leaves((parts, scores))]


@pytest.mark.parametrize(("objective", "devices"), [("ntxent", 1), *((name, 8) for name in OBJECTIVES)])
def test_chunks_have_the_gradients_of_the_whole_batch(objective, devices, config, dataset, monkeypatch):
    config.encoder = ENCODERS["fc"] | {"dropout": 0.0}
    config.objective = OBJECTIVES[objective] | ({"dropout": 0.0} if objective == "classify" else {})
    whole = three_steps(config, dataset, devices, monkeypatch)
    # A head with a BatchNorm has the statistics of the whole batch in one chunk only.
    options = {"chunk": 32, "statistics": "chunk"} if objective in NORMALISED else {"chunk": 8}
    in_chunks = three_steps(config, dataset, devices, monkeypatch, **options)
    for one, other in zip(whole, in_chunks, strict=True):
        assert_allclose(other, one, atol=2e-6, rtol=1e-5)


def test_batchnorm_has_the_statistics_of_a_chunk(config, dataset, monkeypatch):
    config.encoder, config.objective = ENCODERS["cnn"] | {"dropout": 0.0}, OBJECTIVES["ntxent"]
    whole = three_steps(config, dataset, 1, monkeypatch)
    one_chunk = three_steps(config, dataset, 1, monkeypatch, chunk=32, statistics="chunk")
    for one, other in zip(whole, one_chunk, strict=True):
        assert_allclose(other, one, atol=2e-6, rtol=1e-5)
    # In the first step all chunks have the same parameters, and the mean of the chunks' means is the batch's.
    several = three_steps(config, dataset, 1, monkeypatch, chunk=8, statistics="chunk")
    assert any(np.abs(one - other).max() > 1e-3 for one, other in zip(whole, several, strict=True))


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("fc", {"chunk": 12}, "must divide the 32 views of a batch, and be a multiple of the 8 devices, got 12"),
        ("fc", {"chunk": 4}, "must divide the 32 views of a batch, and be a multiple of the 8 devices, got 4"),
        ("cnn", {"chunk": 8}, "ask for that by config.train.statistics='chunk'"),
        ("fc", {"statistics": "chunk"}, "needs config.train.chunk, got 0"),
    ],
)
def test_chunks_that_make_no_sense_are_refused(encoder, options, message, config, dataset):
    config.encoder, config.objective = ENCODERS[encoder], OBJECTIVES["ntxent"]
    config.train.update(options)
    with pytest.raises(InputError, match=message):
        build.run(config, dataset)
