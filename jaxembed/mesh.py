"""The devices: one mesh with a `data` axis, and how arrays lie on it."""

from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def make() -> Mesh:
    """Make a mesh of all devices along the axis `data`."""
    # Auto: with explicit axes, now the default, `z @ z.T` over a split batch raises.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Put a whole copy of every array on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split(mesh: Mesh, tree: Tree) -> Tree:
    """Inside jit: keep the rows of every array divided among the devices."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec("data")))


def whole(mesh: Mesh, tree: Tree) -> Tree:
    """Inside jit: keep every array whole on every device."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
