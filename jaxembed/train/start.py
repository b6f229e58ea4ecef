"""Where training starts: from the first state, or from a checkpoint."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from jaxembed import model
from jaxembed.artifacts import workdir
from jaxembed.core import keys
from jaxembed.core.errors import InputError
from jaxembed.core.keys import Key
from jaxembed.devices import mesh
from jaxembed.kernels import compiler
from jaxembed.run import origin
from jaxembed.run.run import Run
from jaxembed.train.checkpoint import Checkpoints, Saved
from jaxembed.types import Dataset, State, Weights

# The note of a checkpoint that says which images it was trained on.
DATA = "data"
# Images that the first state may depend on.
SEEN = 256


def restored(run: Run, dataset: Dataset, folder: Path, *, seed: int) -> State:
    """Restore the state at the end of a finished run.

    Raises:
      InputError: if its last checkpoint is damaged or missing, or the data has changed since.
    """
    with Checkpoints(folder / workdir.CHECKPOINT) as checkpoints:
        return resumed(checkpoints, run, dataset, folder, seed=seed, step=run.total_steps)[0]


def resumed(
    checkpoints: Checkpoints, run: Run, dataset: Dataset, folder: Path, *, seed: int, step: int | None = None
) -> Saved:
    """Restore a state of this run on this dataset, by default the newest; without a checkpoint, the first."""
    if step is None and checkpoints.is_empty:
        return Saved(initial(run, dataset, seed=seed), {})
    # What the encoder started from may be gone: a checkpoint has all of it.
    saved = checkpoints.restore(_drawn(run, dataset, seed=seed), step=step)
    if saved.notes.get(DATA, dataset.sha256) != dataset.sha256:
        raise InputError(
            f"--workdir {folder} was trained on other images or labels than {dataset.name} has now; bring those "
            "back, or use a different --workdir"
        )
    return saved


def initial(run: Run, dataset: Dataset, *, seed: int) -> State:
    """Make the state at step 0, whole on every device; InputError if what the encoder starts from is lost."""
    return _started(run, _drawn(run, dataset, seed=seed))


def _started(run: Run, state: State) -> State:
    """Put the weights that the encoder starts from, if there are any, into a state at step 0."""
    if not run.origin.start:
        return state
    given = origin.weights(run.origin)

    def put(drawn: Weights) -> Weights:  # once for each network: a step may not be given an array twice
        own = mesh.replicate(run.mesh, given)
        return Weights(*({**each, "encoder": new} if new else each for each, new in zip(drawn, own, strict=True)))

    params, stats = put(Weights(state.params, state.stats))
    return state._replace(params=params, stats=stats, teacher=put(state.teacher) if state.teacher else ())


def _drawn(run: Run, dataset: Dataset, *, seed: int) -> State:
    """Make the state at step 0 of an encoder that starts from random weights."""
    key = jax.random.key(seed)
    with jax.default_device(mesh.host()):
        n = len(dataset.train.labels)
        rows = np.linspace(0, n - 1, min(n, SEEN)).astype(int)  # of all classes, where they are in order
        images = jnp.asarray(dataset.train.images[rows])
        # Run once: optimising the program would take longer than running it.
        state = jax.jit(state_at_zero, static_argnums=0, compiler_options=compiler.unoptimised())(run, key, images)
    return mesh.replicate(run.mesh, state)


def state_at_zero(run: Run, key: Key, images: UInt8[Array, "n h w c"]) -> State:
    """Make the state at step 0 from the run's key and some train images; only a whitened stem uses their pixels."""
    # XLA removes the forward pass, because no output depends on it; run eagerly, each operation would be compiled
    # separately.
    divided = keys.divide(key)
    variables = run.model.init(divided.init, model.pixels(images), train=False)
    weights = Weights(variables["params"], variables.get("batch_stats", {}))
    return State(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=weights.params,
        stats=weights.stats,
        opt_state=run.optimizer.init(run.model.learning(weights.params)),
        teacher=weights if run.objective.teacher else (),
        memory=run.objective.memory(divided.memory),
    )
