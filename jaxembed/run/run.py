"""A run: one config made into its parts, everything in it checked before anything starts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxembed import encoders, model
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.run.protocol import Protocol
from jaxembed.run.training import Training
from jaxembed.types import Images, Objective, Outputs, Scores, Seen, State, Weights


class Run(NamedTuple):
    """Everything that stays the same while State changes; hashable, so a compiled function takes it as static.

    `resized` is the height and width that views are resized to, in early steps only: steps take `run.at(step)`.
    `origin` is what the encoder starts from.
    """

    model: model.Embedder
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    mesh: Mesh
    training: Training
    protocol: Protocol
    steps_per_epoch: int
    total_steps: int
    resized: tuple[int, int] | None = None
    origin: encoders.Origin = encoders.Origin()

    @property
    def early_steps(self) -> int:
        """The number of steps, from the first on, whose views are smaller than the images."""
        return round(self.training.early_share * self.total_steps)

    def at(self, step: int) -> "Run":
        """Return this run as it is at a step: after the early ones, views are not resized."""
        return self if step < self.early_steps else self._replace(resized=None)

    def resize(self, views: Images) -> Float[Array, "n _ _ c"]:
        """Make views as small as those of early steps, if it is one of them."""
        if not self.resized:
            return views
        n, _, _, channels = views.shape
        return jax.image.resize(views, (n, *self.resized, channels), "bilinear")

    def apply(self, params: Any, stats: Any, inputs: Images | jax.Array, **options: Any) -> Any:
        """Apply the model in the run's compute type; parameters and statistics remain float32 at rest."""
        dtype = jnp.dtype(self.training.dtype)
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        with mesh.around(self.mesh):
            return self.model.apply({"params": params, "batch_stats": stats}, inputs.astype(dtype), **options)

    def learn(self, stats: Any, params: Any, views: Images, key: Key) -> tuple[Outputs, Any]:
        """Apply the model as it learns, with dropout, and BatchNorm by the batch.

        Returns:
          the outputs; the new statistics, of what learns.
        """
        rngs = {"dropout": key}
        outputs, updates = self.apply(params, stats, views, train=True, rngs=rngs, mutable=["batch_stats"])
        return outputs, self.model.learning(updates.get("batch_stats", {}))

    def score(self, seen: Seen) -> Scores:
        """Score what was seen by the objective, over all devices."""
        with mesh.around(self.mesh):
            return self.objective.score(seen)

    def weights(self, state: State) -> Weights:
        """Return the weights that are evaluated: the teacher's, if the objective says so."""
        return state.teacher if self.objective.evaluates_teacher else Weights(state.params, state.stats)
