"""The devices: one mesh with a `data` axis, and how arrays lie on it."""

from functools import partial
from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")
# jax.jit for what convolves. On a CPU with Eigen's convolutions instead of YNNPACK's, JAX's default since 0.10:
# training is 1.5 to 3 times faster. Other devices do not look at the option.
compiled = partial(jax.jit, compiler_options={"xla_cpu_experimental_ynn_fusion_type": ""})


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
