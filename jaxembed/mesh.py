"""The devices: one mesh with a `data` axis, and how arrays are laid out on it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")
# Eigen's convolutions instead of YNNPACK's (JAX's default since 0.10): training is 1.5 to 3 times faster.
EIGEN = {"xla_cpu_experimental_ynn_fusion_type": ""}


def make(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh of all devices, or of the given ones, along the axis `data`."""
    size = jax.device_count() if devices is None else len(devices)
    # Auto: with explicit axes, now the default, `z @ z.T` over a split batch raises.
    return jax.make_mesh((size,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def host() -> jax.Device:
    """Return a CPU device; where $JAX_PLATFORMS excludes the CPU, as `cuda` does, return the first device."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function that uses convolutions: `jax.jit` with its options, and Eigen's convolutions on a CPU."""

    @functools.cache
    def jitted() -> Callable[..., Any]:
        # At the first call, not before: asking for the backend starts it.
        return jax.jit(function, compiler_options=EIGEN if jax.default_backend() == "cpu" else None, **options)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return jitted()(*arguments)

    return call


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Put a full copy of every array on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split(mesh: Mesh, tree: Tree) -> Tree:
    """Inside jit: keep the rows of every array split across the devices."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec("data")))


def whole(mesh: Mesh, tree: Tree) -> Tree:
    """Inside jit: keep a full copy of every array on every device."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
