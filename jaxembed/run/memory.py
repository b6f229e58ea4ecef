"""Memory: whether there is enough of it, and whether counters of 32 bits are enough, for a run."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import optax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxembed.core.errors import InputError, OutOfMemory
from jaxembed.devices import mesh
from jaxembed.types import Objective

MOST_STEPS = 2**31 - 1


class Shapes(NamedTuple):
    """A module's shapes, without its numbers.

    Attributes:
      outputs: the outputs for one row.
      params: its parameters.
      stats: the statistics of its BatchNorm.
      largest: numbers that the largest output of one of its layers has, for one row.
    """

    outputs: Any
    params: Any
    stats: Any
    largest: int


def shapes(module: nn.Module, row: Float[Array, "1 ..."]) -> Shapes:
    """Return the shapes of a module that takes `train`; InputError from a layer that cannot take the row."""
    traced = partial(module.init_with_output, train=False, capture_intermediates=True, mutable=True)
    outputs, variables = jax.eval_shape(traced, jax.random.key(0), row)
    layers = [leaf.size for leaf in jax.tree.leaves(variables.get("intermediates", {}))]
    return Shapes(outputs, variables.get("params", {}), variables.get("batch_stats", {}), max(layers, default=0))


def check_memory(
    shapes: Shapes, optimizer: optax.GradientTransformation, *, rows: int, itemsize: int, what: str
) -> None:
    """Raise an OutOfMemory if training certainly needs more memory than a device has.

    Counted are the parameters, their gradients and the optimizer's state, and the largest output of a layer; what
    passes may still be too large.

    Args:
      shapes: the shapes of what is trained.
      optimizer: how.
      rows: how many rows one device processes at a time.
      itemsize: bytes of a number in the computation.
      what: the section of the config that says how large it is.
    """
    trained = 2 * _bytes(shapes.params) + _bytes(jax.eval_shape(optimizer.init, shapes.params))
    _check(trained, f"{what} has parameters that, with their gradients and the optimizer's state,")
    _check(rows * shapes.largest * itemsize, f"{what} has a layer whose output for the {rows} images of a step")


def check_kept(shapes: Shapes, objective: Objective) -> None:
    """Raise an OutOfMemory if what an objective keeps from step to step is certainly more than memory can hold."""
    kept = _bytes(jax.eval_shape(objective.memory, jax.random.key(0)))
    _check(kept + (_bytes(shapes.params) if objective.teacher else 0), "config.objective keeps arrays that")


def check_rows(count: int, width: int, *, what: str) -> None:
    """Raise an OutOfMemory if so many embeddings of a width are more than memory can hold."""
    _check(4 * count * width, f"{what} makes {count} embeddings that")


def check_steps(epochs: int, steps_per_epoch: int, *, what: str) -> None:
    """Raise an InputError if there are more steps than a counter of 32 bits can count."""
    if epochs * steps_per_epoch > MOST_STEPS:
        most = MOST_STEPS // steps_per_epoch
        raise InputError(f"{what} must be at most {most}, with {steps_per_epoch} steps an epoch; got {epochs}")


@contextlib.contextmanager
def enough() -> Iterator[None]:
    """Turn the errors of a device, or this machine, without enough memory into OutOfMemory."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or "MemoryError"
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        smaller = "try a smaller config.train.batch_size or config.encoder, with a different --workdir"
        raise OutOfMemory(f"out of memory on {mesh.described()}: {reason}; {smaller}") from error


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _check(needed: int, text: str) -> None:
    if needed > (memory := mesh.memory()):
        raise OutOfMemory(f"{text} need {needed / 1e9:,.1f} GB of memory; a device has {memory / 1e9:,.1f} GB")
