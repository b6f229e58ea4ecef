"""Our contestant: the steps of a run as `train.fit` calls them, without logging and checkpoints."""

import contextlib
from typing import Any

import jax

from jaxembed.devices import mesh
from jaxembed.run import build
from jaxembed.train import feed, session, start, steps
from jaxembed.types import Dataset


class Trainer:
    """Trains the run that a config describes on a dataset."""

    def __init__(self, config: Any, dataset: Dataset) -> None:
        """Put the dataset and the state on the devices."""
        self.run = build.run(config, dataset)
        self.state = start.initial(self.run, dataset, seed=config.seed)
        self.images = mesh.replicate(self.run.mesh, dataset.train)
        self.step, self.order = 0, feed.permute(self.state.key, 0, len(dataset.train.labels))

    def steps(self, count: int) -> float:
        """Take `count` steps and wait for the device; return the mean of their losses."""
        end, losses = self.step + count, []
        while self.step < end:
            if self.step and self.step % self.run.steps_per_epoch == 0:
                epoch = self.step // self.run.steps_per_epoch
                self.order = feed.permute(self.state.key, epoch, len(self.images.labels))
            chunk = min(session.steps_to_next_event(self.run, self.step), end - self.step)
            fed = feed.Epoch(self.images, self.order)
            self.state, scores = steps.advance(self.run.at(self.step), self.state, fed, chunk)
            self.step += chunk
            losses.append((chunk, scores["loss"]))
        jax.block_until_ready(self.state)
        return sum(chunk * float(loss) for chunk, loss in losses) / count

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Prepare for timing; there is nothing to do."""
        return contextlib.nullcontext()

    def parameters(self) -> int:
        """Count the parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.params))

    def flops(self) -> float:
        """Count the floating-point operations of one step, augmentation and optimizer included."""
        return steps.operations(self.run.at(self.step), self.state, feed.Epoch(self.images, self.order))
