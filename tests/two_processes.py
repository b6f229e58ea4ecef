"""What devices/test_processes.py starts twice: two processes with four devices each take steps of some runs.

  python two_processes.py FOLDER PORT ID

FOLDER holds `<name>.config`, configs as literals; the first process writes `<name>.npz` next to each.
"""

import ast
import os
import sys
from pathlib import Path

os.environ["JAX_NUM_CPU_DEVICES"] = "4"

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxembed import model
from jaxembed.core import keys
from jaxembed.devices import mesh, processes
from jaxembed.run import build
from jaxembed.run.run import Run
from jaxembed.train import checkpoint, feed, start, steps
from jaxembed.types import Batch, State

STEPS = 20


def take(config: ConfigDict, folder: Path) -> dict[str, np.ndarray]:
    """Take steps from a checkpoint in a folder, or from the start: the state's arrays, and what led to them."""
    dataset = build.dataset(config, data_dir=None)
    parts = build.run(config, dataset)
    with checkpoint.Checkpoints(folder) as checkpoints:
        state = start.initial(parts, dataset, seed=config.seed)
        saved = checkpoints.restore(state)
        state = saved.state if saved else state
    first = int(state.step)
    images = mesh.replicate(parts.mesh, dataset.train)
    order = feed.permute(state.key, 0, len(dataset.train.labels))
    taken = {"order": order, "views": _views(parts, state, images, order)}
    losses = []
    for _ in range(first, STEPS):
        state, scores = steps.advance(parts, state, feed.Epoch(images, order), 1)
        losses.append(scores["loss"])
    taken["losses"] = np.array([float(loss) for loss in losses])
    return taken | arrays(state)


def arrays(state: State) -> dict[str, np.ndarray]:
    """Name the arrays of a state."""
    leaves = jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))
    return {f"leaf{number}": np.asarray(leaf) for number, leaf in enumerate(leaves)}


def _views(parts: Run, state: State, images: Batch, order: jax.Array) -> jax.Array:
    def views(state: State, images: Batch, order: jax.Array) -> jax.Array:
        rows = order[: parts.training.batch_size]
        batch = Batch(model.pixels(images.images[rows]), images.labels[rows])
        seen, _ = parts.objective.views(keys.step(state.key, state.step).views, mesh.split(parts.mesh, batch))
        return mesh.whole(parts.mesh, seen)

    return jax.jit(views)(state, images, order)


def main(folder: Path, port: str, index: str) -> None:
    """Take the steps of every config in a folder."""
    processes.start(f"127.0.0.1:{port},2,{index}")
    # As in conftest.py, so that the numbers can be compared.
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_disable_most_optimizations", True)
    for file in sorted(folder.glob("*.config")):
        taken = take(ConfigDict(ast.literal_eval(file.read_text())), file.with_suffix(".checkpoint"))
        taken = {name: np.asarray(array) for name, array in taken.items()}
        if processes.is_first():
            np.savez(file.with_suffix(".npz"), **taken)
    jax.distributed.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
