"""Fusion: XLA's merging of operations into the loops of those that use them, and how to end it."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def once(array: Float[Array, "*shape"], *, axis: int) -> Float[Array, "*shape"]:
    """Return the same array, computed once however often it is read: for what is costly, or read out of order.

    XLA's CPU compiler fuses an operation into everything that reads it, and drops `lax.optimization_barrier` before
    it does. A matmul, here by the identity along an axis that should be short, ends that.
    """
    identity = jnp.eye(array.shape[axis], dtype=array.dtype)
    return jnp.moveaxis(jnp.tensordot(array, identity, axes=(axis, 0), precision="highest"), -1, axis)
