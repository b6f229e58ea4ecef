"""Whole steps of BYOL, MoCo and DINO equal those of lightly's parts, teacher and memory included.

The arrays are from tests/losses/oracles/make.py, in 64 bits: weights, views and memory before and after each step.
"""

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import OBJECTIVES, tiny
from numpy.testing import assert_allclose

from jaxembed import model
from jaxembed.objectives import moco
from jaxembed.run import build
from jaxembed.train import feed, start, steps
from jaxembed.types import Batch, Weights

with np.load(Path(__file__).parents[1] / "losses" / "oracles" / "steps.npz") as file:
    FROZEN = dict(file)
STEPS, BATCH = 3, 6
TEMPERATURES = {"student_temperature": 0.1, "teacher_temperature": 0.04}
# As the oracle has them: heads of one layer.
WAYS = {
    "byol": OBJECTIVES["byol"] | {"projection": (4,), "prediction": (), "decay": 0.9, "second": {}},
    "moco": OBJECTIVES["moco"] | {"projection": (4,), "decay": 0.9, "queue": 48, "temperature": 0.2},
    "dino": OBJECTIVES["dino"] | {"projection": (4,), "prototypes": 4, "decay": 0.9, **TEMPERATURES},
}
LAYERS = {
    "byol": {"projector": ("head", "projector", "Dense_0"), "predictor": ("head", "predictor", "Dense_0")},
    "moco": {"projector": ("head", "Dense_0")},
    "dino": {"projector": ("head", "Dense_0")},
}


class Encoder(nn.Module):
    """One layer, as the oracle's."""

    @nn.compact
    def __call__(self, images, *, train):
        """Embed n images of 8 pixels."""
        return jnp.tanh(nn.Dense(7)(images.reshape(len(images), -1)))


def weights(name: str, step: int, role: str) -> dict:
    """Read the oracle's weights as our parameters."""
    params: dict = {}
    for theirs, path in (("encoder", ("encoder", "Dense_0")), *LAYERS[name].items()):
        node = params
        for each in path[:-1]:
            node = node.setdefault(each, {})
        kernel, bias = (FROZEN[f"{name}_{step}_{role}_{theirs}.{part}"] for part in ("weight", "bias"))
        node[path[-1]] = {"kernel": jnp.float32(kernel.T), "bias": jnp.float32(bias)}
    return params


def prepared(name: str, dataset):
    """Make a run whose views are the oracle's, and its first state."""
    config = tiny()
    config.objective, config.train.batch_size = WAYS[name], 8
    run = build.run(config, dataset)
    views = jnp.stack([FROZEN[f"{name}_{step}_views"] for step in range(STEPS)]).reshape(STEPS, -1, 1, 8, 1)
    objective = run.objective._replace(views=lambda _, batch: (views[batch.labels[0]], batch))
    head = model.MLP((4,), 0.0) if name == "dino" else objective.head
    optimizer, training = optax.sgd(0.1), run.training
    run = run._replace(model=model.Embedder(Encoder(), head), objective=objective, optimizer=optimizer)
    run = run._replace(total_steps=STEPS, training=training, mesh=jax.sharding.Mesh(jax.devices()[:1], "data"))
    params = weights(name, 0, "student")
    state = start.initial(run, dataset, seed=0)._replace(params=params, opt_state=optimizer.init(params))
    state = state._replace(teacher=Weights(params, {}))
    if name == "moco":
        state = state._replace(memory=moco.Queue(jnp.float32(FROZEN["moco_queue"]), jnp.zeros((), jnp.int32)))
    return run, state


@pytest.mark.parametrize("name", WAYS)
def test_three_steps_equal_the_oracles(name, dataset):
    run, state = prepared(name, dataset)
    # The label of an image is the step that sees it, which chooses the views.
    seen = Batch(jnp.zeros((8 * STEPS, 1, 8, 1), jnp.uint8), jnp.repeat(jnp.arange(STEPS), 8))
    step = jax.jit(steps.train_step, static_argnums=0)
    run = run._replace(steps_per_epoch=STEPS)
    for taken in range(1, STEPS + 1):
        state, scores = step(run, state, feed.Epoch(seen, jnp.arange(8 * STEPS)))
        assert_allclose(scores["loss"], FROZEN[f"{name}_{taken - 1}_loss"], rtol=1e-5)
        close(state.params, weights(name, taken, "student"))
        if taken < STEPS:  # the oracle's teacher follows before a step
            close(state.teacher.params, weights(name, taken + 1, "teacher"))
        for memory in [state.memory.keys] if name == "moco" else [state.memory] if name == "dino" else []:
            assert_allclose(memory, FROZEN[f"{name}_{taken - 1}_memory0"], atol=1e-5)
    assert (
        np.abs(np.subtract(*(FROZEN[f"{name}_3_{role}_encoder.bias"] for role in ("student", "teacher")))).max()
        > 1e-3
    )


def close(made: dict, expected: dict) -> None:
    assert jax.tree.structure(made) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(made), jax.tree.leaves(expected), strict=True):
        assert_allclose(one, other, atol=1e-5)
