"""Checkpoints: what was saved comes back, whole, onto the devices there are; damage costs one checkpoint."""

import asyncio
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxembed import mesh, train
from jaxembed.checkpoint import Checkpoints
from jaxembed.types import InputError


@pytest.fixture
def state(run, dataset):
    return train.init(run, dataset, seed=3)


def save(folder, *states, keep=3):
    with Checkpoints(folder, keep=keep) as checkpoints:
        for state in states:
            checkpoints.save(state)


def restore(folder, like):
    with Checkpoints(folder, keep=3) as checkpoints:
        return checkpoints.restore(like)


def at(state, step):
    return state._replace(step=state.step + step)


def test_an_empty_folder_restores_nothing(tmp_path, state):
    assert restore(tmp_path / "new", state) is None


def test_the_newest_state_comes_back_with_its_key_and_types(tmp_path, state):
    save(tmp_path, at(state, 2), at(state, 4))
    restored = restore(tmp_path, state)
    assert int(restored.step) == 4
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for ours, theirs in zip(jax.tree.leaves(at(state, 4)), jax.tree.leaves(restored), strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()


def test_only_the_newest_are_kept(tmp_path, state):
    save(tmp_path, at(state, 1), at(state, 2), at(state, 3), keep=2)
    assert sorted(folder.name for folder in tmp_path.iterdir() if folder.name.isdigit()) == ["2", "3"]


def test_an_array_that_cannot_be_saved_is_not_also_a_traceback_of_asyncio(caplog):
    async def leave():
        asyncio.get_running_loop().create_future().set_exception(ValueError("lost"))

    asyncio.run(leave())
    gc.collect()
    assert not caplog.records


def test_a_state_saved_on_eight_devices_restores_on_one(tmp_path, state):
    save(tmp_path, state)
    one = mesh.replicate(jax.sharding.Mesh(jax.devices()[:1], "data"), jax.tree.map(jnp.array, state))
    restored = restore(tmp_path, one)
    assert all(leaf.sharding.num_devices == 1 for leaf in jax.tree.leaves(restored))
    kernel = restored.params["encoder"]["MLP_0"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, state.params["encoder"]["MLP_0"]["Dense_0"]["kernel"])


def damage(folder):
    for file in folder.rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(b"damaged")


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(tmp_path, state, caplog, capfd):
    folder = tmp_path / "checkpoint"
    save(folder, at(state, 2), at(state, 4))
    (tmp_path / "damaged-4").mkdir()
    damage(folder / "4")
    with Checkpoints(folder, keep=3) as checkpoints:
        assert int(checkpoints.restore(state).step) == 2
        # Training comes to this step again, and saves it again.
        checkpoints.save(at(state, 4))
    assert "checkpoint 4 is damaged" in caplog.text
    assert "Traceback" not in capfd.readouterr().err
    assert (tmp_path / "damaged-4-2" / "default").is_dir()
    assert int(restore(folder, state).step) == 4


def test_where_none_can_be_restored_nothing_is_moved(tmp_path, state):
    folder = tmp_path / "checkpoint"
    save(folder, at(state, 2), at(state, 4))
    before = sorted(tmp_path.rglob("*"))
    other = state._replace(params={"other": state.params["encoder"]})
    with pytest.raises(InputError, match=r"no checkpoint in .* can be restored \(4: \w+, 2: \w+\)"):
        restore(folder, other)
    assert sorted(tmp_path.rglob("*")) == before
