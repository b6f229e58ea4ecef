"""A run: one config made into its parts, everything in it checked before anything starts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxembed import model
from jaxembed.devices import mesh
from jaxembed.run.protocol import Protocol
from jaxembed.run.training import Training
from jaxembed.types import Batch, Images, Objective, Outputs, Scores


class Run(NamedTuple):
    """Everything that stays the same while State changes; hashable, so a compiled function takes it as static.

    `resized` is the height and width that views are resized to, in early steps only: steps take `run.at(step)`.
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

    @property
    def early_steps(self) -> int:
        """The number of steps, from the first on, whose views are smaller than the images."""
        return round(self.training.early_share * self.total_steps)

    def at(self, step: int) -> "Run":
        """Return this run as it is at a step: after the early ones, views are not resized."""
        return self if step < self.early_steps else self._replace(resized=None)

    def apply(self, params: Any, stats: Any, inputs: Images | jax.Array, **options: Any) -> Any:
        """Apply the model in the run's compute type; parameters and statistics remain float32 at rest."""
        dtype = jnp.dtype(self.training.dtype)
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        with mesh.around(self.mesh):
            return self.model.apply({"params": params, "batch_stats": stats}, inputs.astype(dtype), **options)

    def score(self, outputs: Outputs, target: Batch) -> Scores:
        """Score outputs by the objective, over all devices."""
        with mesh.around(self.mesh):
            return self.objective.score(outputs, target)
