"""Checkpoints: what was saved comes back, whole, onto the devices there are; damage costs one checkpoint."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils

from jaxembed.core.errors import InputError
from jaxembed.devices import mesh
from jaxembed.train import checkpoint, start
from jaxembed.train.checkpoint import Checkpoints
from jaxembed.types import Weights
from tests.faults.kills import READS

NOTES = {"lines": 3}


@pytest.fixture
def state(run, dataset):
    return start.initial(run, dataset, seed=3)


def save(folder, *states):
    with Checkpoints(folder) as checkpoints:
        for state in states:
            checkpoints.save(state, NOTES)


def restore(folder, like):
    with Checkpoints(folder) as checkpoints:
        saved = checkpoints.restore(like)
    return saved and saved.state


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
    save(tmp_path, at(state, 1), at(state, 2), at(state, 3))
    assert sorted(folder.name for folder in tmp_path.iterdir() if folder.name.isdigit()) == ["2", "3"]


def test_a_save_does_not_ask_whether_the_process_is_to_be_preempted(tmp_path, state, monkeypatch):
    def fail(step):
        raise RuntimeError("Preemption sync manager has not been initialized")

    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", fail)
    save(tmp_path, state)
    assert restore(tmp_path, state) is not None


LEAVE = """
import asyncio, gc
from jaxembed.train import checkpoint

async def cling():
    try:
        await asyncio.sleep(9)
    finally:
        await asyncio.sleep(9)

async def leave():
    loop = asyncio.get_running_loop()
    loop.create_future().set_exception(ValueError("failed, too"))
    not_ended = loop.create_task(cling())
    await asyncio.sleep(0)
    not_begun = asyncio.sleep(9)

checkpoint.hush()
loop = asyncio.new_event_loop()
loop.run_until_complete(leave())
loop.close()
gc.collect()
"""
SAVE = """
import logging, sys
from pathlib import Path
import jax
import jax.numpy as jnp
import numpy as np
from jaxembed.train import checkpoint
from jaxembed.types import State

checkpoint.hush()
logging.disable()  # launch.py filters what orbax logs
weights = {str(n): jnp.array(np.random.rand(300, 300)) for n in range(40)}
state = State(jnp.array(0), jax.random.key(0), weights, {}, {})
try:
    with checkpoint.Checkpoints(Path("run")) as checkpoints:
        checkpoints.save(state, {})
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize(("code", "said"), [(LEAVE, ""), (SAVE, "File too large\n")])
def test_failing_checkpoint_reports_a_single_error(code, said, tmp_path):
    # A file may grow to 20 KB.
    limit = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", sys.executable, "-c", code]
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": os.environ | READS}
    done = subprocess.run(limit, check=False, **options)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


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
    with Checkpoints(folder) as checkpoints:
        assert int(checkpoints.restore(state).state.step) == 2
        # Training comes to this step again, and saves it again.
        checkpoints.save(at(state, 4), NOTES)
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


def flip(file, *, at):
    content = bytearray(file.read_bytes())
    content[int(at * len(content))] ^= 16
    file.write_bytes(content)


def test_a_flipped_bit_in_an_array_is_noticed(tmp_path, state, caplog):
    # Large enough for a file of its own: orbax checks what it writes into its index.
    state = state._replace(params={"kernel": jax.random.normal(jax.random.key(0), (64, 33))})
    save(tmp_path / "saved", at(state, 2), at(state, 4))
    files = [file.relative_to(tmp_path / "saved") for file in (tmp_path / "saved" / "4").rglob("d/*")]
    for number, file in enumerate(files):
        folder = tmp_path / str(number) / "checkpoint"
        shutil.copytree(tmp_path / "saved", folder)
        flip(folder / file, at=0.6)
        restored = restore(folder, state)
        if int(restored.step) == 4:  # some files are not read
            assert checkpoint.checksum(restored, {}) == checkpoint.checksum(at(state, 4), {})
    assert "checkpoint 4 is damaged (its checksum is wrong)" in caplog.text


def test_a_checksum_covers_the_notes(state):
    assert checkpoint.checksum(state, {"lines": 3}) == checkpoint.checksum(state, {"lines": 3})
    assert checkpoint.checksum(state, {"lines": 3}) != checkpoint.checksum(state, {"lines": 4})
    assert checkpoint.checksum(state, {}) != checkpoint.checksum(state._replace(key=jax.random.key(4)), {})


@pytest.mark.parametrize("content", [b"", b"{}", b'{"custom'])
def test_a_checkpoint_without_its_checksum_is_not_trusted(tmp_path, state, content, caplog):
    folder = tmp_path / "checkpoint"
    save(folder, at(state, 2), at(state, 4))
    (folder / "4" / "_CHECKPOINT_METADATA").write_bytes(content)
    assert int(restore(folder, state).step) == 2
    assert "checkpoint 4 is damaged (its metadata cannot be read)" in caplog.text


def test_a_checkpoint_from_before_there_were_checksums_is_restored(tmp_path, state):
    save(tmp_path, at(state, 2))
    file = tmp_path / "2" / "_CHECKPOINT_METADATA"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"custom_metadata": {}}))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state).notes == {}


def test_a_folder_that_holds_no_checkpoint_costs_no_other(tmp_path, state):
    folder = tmp_path / "checkpoint"
    save(folder, at(state, 2), at(state, 4))
    (folder / "30000").mkdir()
    assert int(restore(folder, state).step) == 4
    assert (tmp_path / "damaged-30000").is_dir()


def test_what_a_kill_left_behind_is_removed(tmp_path, state):
    save(tmp_path / "other", at(state, 1), at(state, 2))
    save(tmp_path / "one", at(state, 3))
    (tmp_path / "one" / "3").rename(tmp_path / "other" / "3")  # killed before the oldest was removed
    (tmp_path / "other" / "4.orbax-checkpoint-tmp").mkdir()  # killed while it was saved
    assert int(restore(tmp_path / "other", state).step) == 3
    assert sorted(folder.name for folder in (tmp_path / "other").iterdir()) == ["2", "3"]


class Before(NamedTuple):
    """A state as it was saved before there were teachers."""

    step: Any
    key: Any
    params: Any
    stats: Any
    opt_state: Any


def test_a_checkpoint_from_before_there_were_teachers_is_restored(tmp_path, state, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_fields", lambda state: Before(*state[:5]))
        save(tmp_path, at(state, 2))
    restored = restore(tmp_path, state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert checkpoint.checksum(restored, {}) == checkpoint.checksum(at(state, 2), {})


def test_a_checkpoint_without_the_teacher_is_refused_in_one_line(tmp_path, state):
    save(tmp_path, at(state, 2))
    taught = state._replace(teacher=Weights(state.params, state.stats))
    with pytest.raises(InputError, match=r"no checkpoint in .* can be restored \(2: .*\); train again") as error:
        restore(tmp_path, taught)
    assert "\n" not in str(error.value)
    assert (tmp_path / "2").is_dir()
