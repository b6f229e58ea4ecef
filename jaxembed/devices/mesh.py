"""The devices: one mesh with a `data` axis, and how arrays are laid out on it."""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxembed.core.errors import InputError

Tree = TypeVar("Tree")


def make(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh of all devices, or of the given ones, along the axis `data`."""
    size = jax.device_count() if devices is None else len(devices)
    # Auto: with explicit axes, now the default, `z @ z.T` over a split batch raises.
    return jax.make_mesh((size,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def check_devices() -> None:
    """Start the devices; an InputError if JAX cannot, as where $JAX_PLATFORMS asks for some that are not there."""
    try:
        jax.devices()
    except Exception as error:  # JAX raises whatever its backend does, even an AssertionError
        wanted = f"JAX_PLATFORMS={os.environ['JAX_PLATFORMS']}" if os.environ.get("JAX_PLATFORMS") else "JAX"
        reason = " ".join(str(error).split()) or "there is no such device"
        raise InputError(f"{wanted} cannot be used on this machine: {reason}") from error


def host() -> jax.Device:
    """Return a CPU device; where $JAX_PLATFORMS excludes the CPU, as `cuda` does, return the first device."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def memory() -> float:
    """Return the bytes of memory of one device: an accelerator's own, or this device's share of the machine's."""
    first = jax.local_devices()[0]
    limits = first.memory_stats() if first.platform != "cpu" else None
    if limits and "bytes_limit" in limits:
        return limits["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / jax.local_device_count()


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Put a full copy of every array on every device; every process gives the same arrays."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    if everywhere.is_fully_addressable:
        return jax.device_put(tree, everywhere)

    def put(array: jax.Array | np.ndarray) -> jax.Array:
        if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(array)))
        return jax.make_array_from_process_local_data(everywhere, np.asarray(array))

    return jax.tree.map(put, tree)


def own_rows(mesh: Mesh, count: int) -> np.ndarray:
    """Return which of `count` rows that are split across the devices belong to this process."""
    parts = NamedSharding(mesh, PartitionSpec("data")).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[rows] for (rows,) in parts]))


def place(mesh: Mesh, tree: Tree, *, axis: int = 0) -> Tree:
    """Split arrays, of which each process gives its `own_rows` along an axis, across the devices."""
    sharding = NamedSharding(mesh, PartitionSpec(*(None,) * axis, "data"))
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), tree)


@functools.partial(jax.jit, static_argnums=0)
def largest(mesh: Mesh, numbers: jax.Array) -> jax.Array:
    """Return the largest number, on every device."""
    return whole(mesh, numbers.max())


def split(mesh: Mesh, tree: Tree, *, axis: int = 0) -> Tree:
    """Inside jit: keep the rows of every array, along an axis, split across the devices."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(*(None,) * axis, "data")))


def whole(mesh: Mesh, tree: Tree) -> Tree:
    """Inside jit: keep a full copy of every array on every device."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


def around(devices: Mesh) -> contextlib.AbstractContextManager:
    """Inside jit: let the functions called in this context know the devices, by the functions below."""
    return jax.sharding.use_abstract_mesh(devices.abstract_mesh)


def size() -> int:
    """Inside jit: the number of devices of `around`; 1 outside it."""
    return dict(jax.sharding.get_abstract_mesh().shape).get("data", 1)


def divides(n: int) -> bool:
    """Inside jit: whether there are several devices in `around`, and n rows can be divided among them."""
    return size() > 1 and n % size() == 0


def by_rows(function: Callable[..., Tree], *, whole: bool = False) -> Callable[..., Tree]:
    """Inside jit and `around`: let each device call a function with its own rows of each argument.

    Args:
      function: the function that a device calls with its rows, at least one.
      whole: whether its result is the same on every device, by `total`, instead of rows.
    """
    rows = PartitionSpec("data")
    # Unchecked, so that a loop may start from zeros that are the same on every device.
    return jax.shard_map(function, in_specs=rows, out_specs=PartitionSpec() if whole else rows, check_vma=False)


def summed(function: Callable[..., Tree], *arrays: jax.Array) -> Tree:
    """Sum what a function makes of the rows on each device; of all rows at once where they are not divided."""
    if not divides(len(arrays[0])):
        return function(*arrays)
    return by_rows(lambda *rows: total(function(*rows)), whole=True)(*arrays)


def total(tree: Tree) -> Tree:
    """Inside `by_rows`: sum arrays over the devices."""
    return jax.lax.psum(tree, "data")


def index() -> jax.Array:
    """Inside `by_rows`: which device this is."""
    return jax.lax.axis_index("data")


def to_next(tree: Tree, devices: int) -> Tree:
    """Inside `by_rows`: give arrays to the next device, and return those of the one before."""
    return jax.lax.ppermute(tree, "data", [(each, (each + 1) % devices) for each in range(devices)])


def described() -> str:
    """Name the devices that a run uses: their kind and how many; for a CPU, the cores that it may use."""
    first, count = jax.devices()[0], jax.device_count()
    kind = f"CPU, {len(os.sched_getaffinity(0))} cores" if first.platform == "cpu" else first.device_kind
    return kind if count == 1 else f"{count} × {kind}"
