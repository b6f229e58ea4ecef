"""The mesh: which rows lie on which of the eight simulated devices."""

import jax
import jax.numpy as jnp
import pytest

from jaxembed.devices import mesh


@pytest.fixture(scope="module")
def devices():
    return mesh.make()


def shards(array: jax.Array) -> list[list[int]]:
    return [shard.data.tolist() for shard in array.addressable_shards]


def test_the_mesh_has_every_device_along_one_axis(devices):
    assert devices.axis_names == ("data",)
    assert devices.size == jax.device_count() == 8


def test_a_replicated_array_is_whole_on_every_device(devices):
    assert shards(mesh.replicate(devices, jnp.arange(3))) == [[0, 1, 2]] * 8


def test_host_is_the_cpu_or_else_the_first_device(monkeypatch):
    assert mesh.host().platform == "cpu"
    found = jax.local_devices()

    def local_devices(backend=None):
        if backend:
            raise RuntimeError(f"Unknown backend {backend}. Available backends are ['cuda']")
        return found

    monkeypatch.setattr(jax, "local_devices", local_devices)
    assert mesh.host() is found[0]


def test_split_rows_are_divided_among_the_devices(devices):
    rows = jax.jit(lambda array: mesh.split(devices, array))(jnp.arange(16))
    assert shards(rows) == [[2 * i, 2 * i + 1] for i in range(8)]


def test_gathered_rows_are_on_every_device(devices):
    split_rows = jax.jit(lambda array: mesh.split(devices, array))(jnp.arange(8))
    rows = jax.jit(lambda array: mesh.whole(devices, array))(split_rows)
    assert shards(rows) == [list(range(8))] * 8
