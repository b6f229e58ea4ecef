"""Random keys: the one place that says how a run's root key is divided.

Everything random in a run is a function of (seed, step). The root key never changes; what needs randomness takes
its own key from here, so that in training nothing is drawn twice.
"""

from typing import NamedTuple

import jax
from jaxtyping import ArrayLike, Int

Key = jax.Array


class Keys(NamedTuple):
    """The keys that a run's root key is divided into.

    Attributes:
      init: the key that the initial parameters are drawn with.
      order: the key that shuffles the images; `epoch` makes one for each epoch from it.
      steps: the key that all randomness in a step comes from; `step` makes two for each step from it.
      validation: the key that draws the views for the validation loss, the same views each time.
      pictures: the key that draws the views shown in a run's figure.
      memory: the key that an objective's memory starts from.
    """

    init: Key
    order: Key
    steps: Key
    validation: Key
    pictures: Key
    memory: Key


class StepKeys(NamedTuple):
    """The keys of one step: for the views of its batch, for dropout, and for what is drawn in the score."""

    views: Key
    dropout: Key
    score: Key


def divide(root: Key) -> Keys:
    """Divide a run's root key, `jax.random.key(seed)`."""
    # A split into three gives the same keys as folding in 0, 1 and 2.
    return Keys(*jax.random.split(root, 3), *(jax.random.fold_in(root, number) for number in (3, 4, 5)))


def epoch(root: Key, epoch: Int[ArrayLike, ""]) -> Key:
    """Return the key of an epoch's order."""
    return jax.random.fold_in(divide(root).order, epoch)


def step(root: Key, step: Int[ArrayLike, ""]) -> StepKeys:
    """Return the keys of a step."""
    own = jax.random.fold_in(divide(root).steps, step)
    return StepKeys(*jax.random.split(own), of_score(own))


def of_score(key: Key) -> Key:
    """Return the key of what is drawn in a score, from one that is split for other things."""
    return jax.random.fold_in(key, 2**32 - 1)


# The evaluation has fixed seeds, so that probes start from the same weights in every run. Its keys coincide with
# those of the first seeds in training; changing them would change published results.
_PROBES, _VIEWS, _PAIR = 0, 1, 2


def probes() -> tuple[Key, Key]:
    """Return the keys of the linear and of the MLP probe."""
    linear, mlp = jax.random.split(jax.random.key(_PROBES))
    return linear, mlp


def probe_views(count: int) -> Key:
    """Return the keys [count] of the augmented views that the probes learn from."""
    return jax.random.split(jax.random.key(_VIEWS), count)


def pair_views() -> tuple[Key, Key]:
    """Return the keys of the two views of each image that are compared."""
    first, second = jax.random.split(jax.random.key(_PAIR))
    return first, second
